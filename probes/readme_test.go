package probes_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
)

// What README shows is here, word for word but for what the machine must have, and runs.

func TestFirewall(t *testing.T) {
	harness.Require(t, harness.NftTool)
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	office.Host("client", lan)
	office.Host("server", dmz)
	office.Router("fw", lan, dmz).Nft(`table inet filter { chain forward {
		type filter hook forward priority 0; tcp dport 22 drop comment "no ssh from the lan"; }; }`)

	lab := harness.Up(t, office)
	client, server, expect := lab.Node("client"), lab.Node("server"), NewWithT(t).Expect
	probes.Serve(t, server, probes.TCP(80), probes.TCP(22))
	expect(client).To(probes.Reach(server, probes.TCP(80)))
	expect(client).To(probes.BeIsolatedFrom(server, probes.TCP(22)).At("fw").By("no ssh from the lan"))
}

func TestVLANs(t *testing.T) {
	harness.Require(t, harness.NftTool, harness.VLAN, harness.VLANFiltering)
	office := topo.New("office")
	trunk := office.Switch("trunk")
	desks := office.VLAN("desks", trunk, 10, "10.0.10.0/24")
	cameras := office.VLAN("cameras", trunk, 20, "10.0.20.0/24")
	office.Host("desk", trunk.Access(10))
	office.Host("camera", trunk.Access(20))
	office.Router("fw", trunk, desks, cameras).Nft(`table inet filter { chain forward {
		type filter hook forward priority 0; ct state established accept
		iifname cameras drop comment "cameras ask nobody"; }; }`)

	lab := harness.Up(t, office)
	desk, camera, expect := lab.Node("desk"), lab.Node("camera"), NewWithT(t).Expect
	probes.Serve(t, camera, probes.TCP(554))
	expect(desk).To(probes.Reach(camera, probes.TCP(554)).Through("fw"))
	expect(camera).To(probes.BeIsolatedFrom(desk).At("fw").By("cameras ask nobody"))
}

func TestTenants(t *testing.T) {
	box := topo.New("box")
	for _, tenant := range []string{"red", "blue"} {
		lan := box.Switch(tenant+"/lan", "10.0.0.0/24")
		box.Host(tenant+"/pc", lan)
		box.Host(tenant+"/db", lan)
	}
	lab := harness.Up(t, box)
	NewWithT(t).Expect(probes.WatchSurvey(t.Context(), lab, probes.ICMP())).To(probes.MatchMatrix(`
	             red/pc  red/db  blue/pc  blue/db
	    red/pc     .       ok    nopath   nopath
	    red/db     ok      .     nopath   nopath
	    blue/pc  nopath  nopath    .        ok
	    blue/db  nopath  nopath    ok       .
	`))
}

func TestKillSwitch(t *testing.T) {
	harness.Require(t, harness.NftTool, harness.WireGuard)
	world := topo.New("world")
	wifi, internet := world.Switch("wifi", "192.0.2.0/24"), world.Switch("internet", "198.51.100.0/24")
	vpn := world.WireGuard("vpn", internet, "10.8.0.0/24")
	world.Router("isp", wifi, internet)
	world.Router("exit", internet, vpn).NAT(topo.Masquerade(internet))
	world.Host("web", internet)
	world.Host("laptop", wifi, vpn.Over(wifi)).NoRoutes().
		Route(topo.Route{Via: "10.8.0.1", Metric: 1}, topo.Route{Via: "192.0.2.1", Metric: 2}).
		Nft(`table inet vpn { chain output { type filter hook output priority 0
			oifname wifi udp dport 51820 accept
			oifname wifi drop comment "kill switch"; }; }`)

	lab := harness.Up(t, world)
	laptop, web, expect := lab.Node("laptop"), lab.Node("web"), NewWithT(t).Expect
	probes.Serve(t, web, probes.TCP(443))
	expect(laptop).To(probes.Reach(web, probes.TCP(443)).Through("exit"))
	expect(laptop.Port("vpn").Down()).To(Succeed())
	expect(laptop).To(probes.BeIsolatedFrom(web, probes.TCP(443)).At("laptop").By("kill switch"))
}

// nobodyListens is README's example of a failure.
func nobodyListens(t *testing.T) (message string) {
	network := topo.New("office")
	lan := network.Switch("lan", "10.0.1.0/24")
	dmz := network.Switch("dmz", "10.0.2.0/24")
	network.Host("client", lan)
	network.Host("server", dmz)
	network.Router("fw", lan, dmz)
	lab := harness.Up(t, network)
	NewGomega(func(said string, _ ...int) { message = said }).
		Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), probes.TCP(80)))
	return message
}

// blocks are the parts of README that are in a language. Where there is no go command there
// are no sources either (a guest).
func blocks(t *testing.T, language string) (found []string) {
	t.Helper()
	harness.Require(t, harness.Tool("go"))
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(block, "```")
		found = append(found, code)
	}
	return found
}

// TestReadmeShowsWhatRuns holds README's Go against the tests of this package.
func TestReadmeShowsWhatRuns(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?m)^\tharness\.Require\(.*\n`)
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(required.ReplaceAll(text, nil))
	}
	shown := blocks(t, "go")
	if len(shown) < 3 {
		t.Fatalf("README has %d blocks of Go", len(shown))
	}
	for _, block := range shown {
		for _, part := range strings.Split(strings.TrimSpace(block), "\n\nfunc ") {
			if part = strings.TrimPrefix(part, "func "); !strings.Contains(all.String(), part+"\n") {
				t.Errorf("no test of this package has what README shows:\n%s", part)
			}
		}
	}
}

// TestReadmeShowsWhatIsSaid holds README's failure against a real one. Times, ports of
// askers and what is left out (...) are not compared.
func TestReadmeShowsWhatIsSaid(t *testing.T) {
	t.Parallel()
	varies := regexp.MustCompile(`[0-9.]+ ?(µs|ms|s)\b|:[0-9]{5}\b`)
	shown := blocks(t, "text")
	said := strings.Split(varies.ReplaceAllString(nobodyListens(t), "#"), "\n")
	if len(shown) == 0 {
		t.Fatal("README shows no failure")
	}
	next := 0
	for _, line := range strings.Split(strings.TrimSpace(varies.ReplaceAllString(shown[0], "#")), "\n") {
		if strings.TrimSpace(line) == "..." {
			continue
		}
		for next < len(said) && said[next] != line {
			next++
		}
		if next == len(said) {
			t.Fatalf("README has a line that is not said, or not there:\n%s\nof:\n%s", line, strings.Join(said, "\n"))
		}
	}
}
