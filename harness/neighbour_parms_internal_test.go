package harness

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// The machine's loopback has what the kernel gave it at its start.
func TestTheNeighbourParmsAreThisKernels(t *testing.T) {
	for i, table := range neighbourTables {
		for _, p := range neighbourParms {
			value, err := os.ReadFile("/proc/sys/net/" + table.sysctls + "/neigh/lo/" + p.key)
			if os.IsNotExist(err) {
				continue // of an older kernel, or one without IPv6
			}
			if got := strings.TrimSpace(string(value)); err != nil || got != strconv.Itoa(p.own[i]) {
				t.Errorf("%s of %s is %s (%v), and the table says %d", p.key, table.name, got, err, p.own[i])
			}
		}
	}
}

// TestOddNeighbourParms takes this kernel's own for odd, as nobody may change the machine's:
// every interface is to have others then, also one that comes with a change.
func TestOddNeighbourParms(t *testing.T) {
	found := oddNeighbours
	t.Cleanup(func() { oddNeighbours = found })
	others := slices.Clone(neighbourParms)
	for i, p := range others {
		others[i].own = [2]int{2*p.own[0] + 4, 2*p.own[1] + 8} // none is rounded to the kernel's ticks
	}
	var odd [2][]neighbourParm
	inNewNamespace(t, func() error { // a kernel may lack some
		odd = differentParms(others)
		return nil
	})
	oddNeighbours = func() [2][]neighbourParm { return odd }
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
			for i, table := range neighbourTables {
				for _, p := range odd[i] {
					if got, err := lab.Node(name).Sysctl("net." + table.sysctls + ".neigh." + port + "." + p.key); err != nil || got != strconv.Itoa(p.own[i]) {
						t.Errorf("%s of %s at %s of %s is %s (%v), want %d", p.key, table.name, port, name, got, err, p.own[i])
					}
				}
			}
		}
	}
	if len(odd[0]) < 10 || len(odd[1]) < 10 {
		t.Errorf("%d and %d parameters were found", len(odd[0]), len(odd[1]))
	}
}
