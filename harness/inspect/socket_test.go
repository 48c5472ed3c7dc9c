package inspect

import (
	"fmt"
	"testing"
)

func TestSocketsOfATable(t *testing.T) {
	t.Parallel()
	const udp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  312: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1237 2 0000000000000000 0
  313: 000000FD00000000000000000100000A:8001 00000000000000000000000000000000:0035 01 00000000:00000005 00:00000000 00000000     0        0 1238 2 0000000000000000 0
`
	for _, c := range []struct{ kind, text, want string }{
		{"udp6", udp6, "[udp6 UNCONNECTED [::]:53 peer [::]:0 queued to send 0, to read 0 udp6 ESTABLISHED [fd00::a00:1]:32769 peer [::]:53 queued to send 0, to read 5]"},
		{"tcp", "0: 00000000:0050 00000000:0000 0A 00000000:00000003 00:0 0 0 0 1", "[tcp LISTEN 0.0.0.0:80 peer 0.0.0.0:0 queued to send 0, to read 3]"},
		{"tcp", "0: 00000000:0050 00000000:0000 07 0:0", "[tcp CLOSED 0.0.0.0:80 peer 0.0.0.0:0 queued to send 0, to read 0]"},
		{"tcp", "", "[]"},
		{"tcp", "  sl  local_address rem_address   st\n", "[]"},
		{"tcp", "0: 00000000:0050 00000000:0000 0A", "[]"},      // cut off
		{"tcp", "0: 0:0050 00000000:0000 0A 0:0", "[]"},         // no address
		{"tcp", "0: 00000000:XYZ 00000000:0000 0A 0:0", "[]"},   // no port
		{"tcp", "0: 00000000:10000 00000000:0000 0A 0:0", "[]"}, // no port there can be
		{"tcp", "0: 00000000:0050 00000000:0000 1F 0:0", "[]"},  // no state
	} {
		if got := fmt.Sprint(socketsOf(c.kind, c.text)); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}
