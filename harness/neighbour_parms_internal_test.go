package harness

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// The machine's loopback has what the kernel gave it at its start.
func TestTheNeighbourParmsAreThisKernels(t *testing.T) {
	for _, p := range neighbourParms {
		for family, want := range map[string]int{"ipv4": p.of4, "ipv6": p.of6} {
			value, err := os.ReadFile("/proc/sys/net/" + family + "/neigh/lo/" + p.key)
			if os.IsNotExist(err) {
				continue // of an older kernel, or one without IPv6
			}
			if got := strings.TrimSpace(string(value)); err != nil || got != strconv.Itoa(want) {
				t.Errorf("%s of %s is %s (%v), and the table says %d", p.key, family, got, err, want)
			}
		}
	}
}

// TestOddNeighbourParms takes this kernel's own for odd, as nobody may change the machine's:
// every interface is to have others then, also one that comes with a change.
func TestOddNeighbourParms(t *testing.T) {
	findOddNeighbours()
	own4, own6 := oddNeighbours.of4, oddNeighbours.of6
	t.Cleanup(func() { oddNeighbours.of4, oddNeighbours.of6 = own4, own6 })
	odd := make([]neighbourParm, 0, len(neighbourParms))
	for _, p := range neighbourParms {
		p.of4, p.of6 = 2*p.of4+4, 2*p.of6+8 // none is rounded to the kernel's ticks
		odd = append(odd, p)
	}
	inNewNamespace(t, func() error { // a kernel may lack some
		oddNeighbours.of4, oddNeighbours.of6 = isDifferent(odd)
		return nil
	})
	network := topo.New("odd")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	network.Host("pc", lan)
	network.Host("server", lan)
	lab := Up(t, network)
	if err := lab.Change(func(n *topo.Network) {
		dmz := n.Switch("dmz", "10.0.2.0/24")
		n.Host("late", n.Segment("lan"), dmz)
		n.Node("pc").Attach(dmz)
	}); err != nil {
		t.Fatal(err)
	}
	for name, ports := range map[string]string{"pc": "lan dmz", "server": "lan", "late": "lan dmz"} {
		for port := range strings.FieldsSeq(ports) {
			for family, parms := range map[string][]neighbourParm{"ipv4": oddNeighbours.of4, "ipv6": oddNeighbours.of6} {
				for _, p := range parms {
					want := map[string]int{"ipv4": p.of4, "ipv6": p.of6}[family]
					if got, err := lab.Node(name).Sysctl("net." + family + ".neigh." + port + "." + p.key); err != nil || got != strconv.Itoa(want) {
						t.Errorf("%s of %s at %s of %s is %s (%v), want %d", p.key, family, port, name, got, err, want)
					}
				}
			}
		}
	}
}
