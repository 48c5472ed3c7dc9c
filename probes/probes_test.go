package probes_test

import (
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// office is a lan, a dmz, and a router between them that has rules.
func office(rules string) *topo.Network { return officeAs("office", rules) }

func officeAs(name, rules string) *topo.Network {
	office := topo.New(name)
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("client", lan)
	office.Host("server", dmz)
	fw := office.Router("fw", lan, dmz)
	if rules != "" {
		fw.Nft(rules)
	}
	return office
}

func ask(t *testing.T, from *harness.Node, to probes.Target, p probes.Probe) probes.Result {
	t.Helper()
	result, err := probes.Ask(t.Context(), from, to, p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// each is every address's result.
func each(r probes.Result) []probes.Result {
	if len(r.Each) > 0 {
		return r.Each
	}
	return []probes.Result{r}
}

// patient makes nodes ask for a neighbour once in a minute, so that an address
// that nobody has stays silent: by itself the kernel gives up after three seconds,
// which a busy machine may take over anything.
func patient(t *testing.T, port string, nodes ...*harness.Node) {
	t.Helper()
	for _, node := range nodes {
		for _, v := range []string{"ipv4", "ipv6"} {
			if err := node.SetSysctl("net."+v+".neigh."+port+".retrans_time_ms", "60000"); err != nil {
				t.Fatal(err)
			}
		}
	}
}
