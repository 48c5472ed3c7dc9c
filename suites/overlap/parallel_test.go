package overlap_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
)

// Labs with the same names and addresses, up at the same time in one process:
// plain tests, since a Ginkgo process runs one spec after the other.
func TestLabsInParallel(t *testing.T) {
	const labs = 8
	for i := range labs {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			network := topo.New("office")
			lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
			dmz := network.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
			client, server := fmt.Sprint("client-", i), fmt.Sprint("server-", i)
			network.Host(client, lan)
			network.Host(server, dmz)
			network.Router("fw", lan, dmz)
			lab := harness.Up(t, network)
			if addr := lab.Node(server).Addr(); addr != netip.MustParseAddr("10.0.2.1") {
				t.Errorf("%s has another address than every other: %s", server, addr)
			}
			probes.Serve(t, lab.Node(server), web, dns)
			for range 10 {
				reachesItsOwn(t, lab.Node(client), lab.Node(server))
			}
		})
	}
}

// reachesItsOwn holds when the server of the client's own lab answers and signs,
// at every address.
func reachesItsOwn(t *testing.T, client, server *harness.Node) {
	t.Helper()
	for _, p := range []probes.Probe{web, dns} {
		result, err := probes.Ask(t.Context(), client, server, p)
		if err != nil || len(result.Each) != 2 {
			t.Fatalf("%v, %v", result, err)
		}
		for _, r := range result.Each {
			if r.Outcome != probes.Answered || r.By != server.Name() || !r.Proven {
				t.Errorf("%v", r)
			}
		}
	}
}
