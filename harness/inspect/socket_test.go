package inspect

import (
	"fmt"
	"testing"
)

func TestPortsOfSockets(t *testing.T) {
	t.Parallel()
	const udp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  312: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1237 2 0000000000000000 0
  313: 0001000000000000000000000000FD00:8001 00000000000000000000000000000000:0035 01 00000000:00000000 00:00000000 00000000     0        0 1238 2 0000000000000000 0
`
	for name, c := range map[string]struct{ text, want string }{
		"those that wait":     {udp6, "map[53:true]"},
		"nothing":             {"", "map[]"},
		"a heading":           {"  sl  local_address rem_address   st\n", "map[]"},
		"a line cut off":      {"   0: 00000000:0016 00000000:0000", "map[]"},
		"no number":           {"   0: 00000000:XYZ 00000000:0000 07\n", "map[]"},
		"no port":             {"   0: 00000000 00000000:0000 07\n", "map[]"},
		"a number too large":  {"   0: 00000000:10000 00000000:0000 07\n", "map[]"},
		"the greatest number": {"   0: 00000000:FFFF 00000000:0000 07\n", "map[65535:true]"},
	} {
		got := map[uint16]bool{}
		addPorts(got, c.text)
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}
