package harness_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// firewall is a network with something for every part of a bundle.
func firewall() *topo.Network {
	network := topo.New("fire/wall")
	lan := network.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := network.Wire("dmz", "10.0.2.0/24", "fd00:2::/64")
	network.Host("the/client", lan)
	network.Host("server", dmz).Route(topo.Route{To: "203.0.113.0/24", Type: topo.Blackhole, Table: 100})
	network.Router("fw", lan, dmz).Sysctl("net.ipv4.ip_default_ttl", "9")
	return network
}

const (
	nftRules = `table inet filter { chain forward {
		type filter hook forward priority 0; policy accept;
		ct state established counter accept
		tcp dport 22 counter drop comment "no ssh"
	}; }`
	iptablesRules = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT"
)

// has says whether a feature is there, without a skip.
func has(t *testing.T, feature harness.Feature) bool {
	r := record(t, func(tb harness.TB) { harness.Require(tb, feature) })
	return r.skip == "" && r.fatal == ""
}

func init() {
	if os.Getenv(fixtureVar) != "" {
		harness.Patient()
	}
	fixtures["falls"] = func(t *testing.T) {
		use(t, harness.Up(t, firewall()))
		if os.Getenv("NSTEST_TEST_PASSES") == "" {
			t.Error("so it should")
		}
	}
	fixtures["breaks"] = func(t *testing.T) {
		lab := harness.Up(t, firewall())
		if err := lab.Node("fw").Port("dmz").Down(); err != nil {
			t.Fatal(err)
		}
		netlink := lab.Node("the/client").Netlink()
		link, err := netlink.LinkByName("lan")
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkDel(link); err != nil {
			t.Fatal(err)
		}
		t.Error("so it should")
	}
	fixtures["attaches"] = func(t *testing.T) {
		harness.Attach(t, "guest", harness.Up(t, pair()).Node("bob").Path())
		t.Error("so it should")
	}
	fixtures["panics"] = func(t *testing.T) {
		harness.Up(t, pair())
		panic("so it should")
	}
	fixtures["fails too late"] = func(t *testing.T) {
		harness.Up(t, pair()).Down()
		t.Error("so it should")
	}
}

// use does what leaves traces in a firewall.
func use(t *testing.T, lab *harness.Lab) {
	fw, server := lab.Node("fw"), lab.Node("server")
	var loading []error
	if has(t, harness.NftTool) {
		loading = append(loading, fw.Nft(nftRules))
	}
	if has(t, harness.IptablesTool) {
		loading = append(loading, server.Iptables(iptablesRules), server.Ip6tables(iptablesRules))
	}
	if err := errors.Join(loading...); err != nil {
		t.Fatal(err)
	}
	listener, err := server.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 80))
	if err != nil {
		t.Fatal(err)
	}
	fw.Lab().OnDown(func() { _ = listener.Close() })
	conn, err := lab.Node("the/client").Dial(t.Context(), "tcp", netip.AddrPortFrom(server.Addr(), 80))
	if err != nil {
		t.Fatal(err)
	}
	fw.Lab().OnDown(func() { _ = conn.Close() })
}

// bundleOf runs a fixture and returns where its bundles are to be, and its output.
func bundleOf(t *testing.T, cmd *exec.Cmd, want int) (dir, out string) {
	t.Helper()
	dir = t.TempDir()
	cmd.Env = append(cmd.Env, "NSTEST_ARTIFACTS="+dir)
	out, status := outcome(t, cmd)
	if status != want {
		t.Fatalf("status %d, want %d:\n%s", status, want, out)
	}
	return dir, out
}

// expect reads a file and says what is not in it. A dash at the front is for what
// must not be.
func expect(t *testing.T, file string, wants ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	for _, want := range wants {
		unwanted, no := strings.CutPrefix(want, "-")
		if strings.Contains(string(text), unwanted) == no {
			t.Errorf("%s: %q in:\n%s", filepath.Base(file), want, text)
		}
	}
}

func TestAFailedTestLeavesABundle(t *testing.T) {
	t.Parallel()
	for name, cmd := range map[string]*exec.Cmd{"same privilege": fixture("falls"), "sandbox": unprivileged("falls")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root, out := bundleOf(t, cmd, 1)
			dir := filepath.Join(root, "harness", "TestFixture")
			if want := "nstest: lab fire/wall as it was when the test had failed: " + dir + "\n"; !strings.Contains(out, want) {
				t.Errorf("want %q in:\n%s", want, out)
			}
			expect(t, dir+"/README.txt", "lab fire/wall", "test     TestFixture\n", "package  harness\n", "Linux ",
				"from the root of module github.com/nstest/nstest", "NSTEST_TEST_FIXTURE=falls go test -count=1 ", " -run='^TestFixture$' ./harness\n",
				"plan.txt ", "nodes/the/client.txt  links", "fabric.txt ", "-not all of it", "-NSTEST_ARTIFACTS", "-NSTEST_SANDBOX=inside")
			expect(t, dir+"/plan.txt", "network fire/wall\n", "10.0.1.0/24", "the/client")
			expect(t, dir+"/nodes/the/client.txt", ": lan@if", "BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 veth state UP\n", "    inet 10.0.1.1/24 scope global\n",
				"    inet6 fd00:1::1/64 scope global", "received ", "default via 10.0.1.2 dev lan", "local 10.0.1.1 dev lan table local",
				"inet 32766: from all lookup main\n", "10.0.1.2 dev lan link ", "tcp ESTABLISHED 10.0.1.1:", "== nftables\n\nnone\n", "-cannot be read", "-33:33:00:00:00:01")
			expect(t, dir+"/fabric.txt", " bridge state ", " master ", " dev fw REACHABLE\n", "== sockets\n\nnone\n")
			expect(t, dir+"/sysctls.txt", "== the/client\n\n", "== fw\n\n", "net.ipv4.ip_forward = 1 (new: 0)\n", "net.ipv4.ip_default_ttl = 9 (new: 64)\n",
				"net.ipv6.conf.lan.accept_dad = 0 (new: 1)\n", "-net.ipv4.tcp_syncookies", "-mtu =")
			expectServer(t, dir+"/nodes/server.txt")
			expectFirewall(t, dir+"/nodes/fw.txt")
		})
	}
}

func expectServer(t *testing.T, file string) {
	t.Helper()
	expect(t, file, "blackhole 203.0.113.0/24 table 100", "tcp6 LISTEN [::]:80 peer [::]:0", "tcp6 ESTABLISHED [::ffff:10.0.2.1]:80 peer [::ffff:10.0.1.1]:")
	if has(t, harness.IptablesTool) {
		expect(t, file, "== iptables\n\n# Generated by iptables-", "== ip6tables\n\n# Generated by ip6tables-", "[0:0] -A INPUT -p tcp -m tcp --dport 23 -j DROP\n")
	}
}

func expectFirewall(t *testing.T, file string) {
	t.Helper()
	expect(t, file, "== iptables\n\nnone\n")
	if has(t, harness.NftTool) {
		expect(t, file, "table inet filter { # handle ", `tcp dport 22 counter packets 0 bytes 0 drop comment "no ssh" # handle `,
			"ct state established counter packets ", "src=10.0.1.1 dst=10.0.2.1", "dport=80")
	}
}

func TestATestThatPassesLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, cmd := range []*exec.Cmd{fixture("falls"), unprivileged("falls")} {
		temporary := t.TempDir()
		cmd.Env = append(cmd.Env, "NSTEST_TEST_PASSES=1", "TMPDIR="+temporary)
		dir, out := bundleOf(t, cmd, 0)
		for _, dir := range []string{dir, temporary} {
			if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
				t.Errorf("%v, %v in %s", entries, err, dir)
			}
		}
		if strings.Contains(out, "bundle") || strings.Contains(out, "as it was") {
			t.Error(out)
		}
	}
}

func TestABrokenLabLeavesABundle(t *testing.T) {
	t.Parallel()
	root, _ := bundleOf(t, fixture("breaks"), 1)
	dir := filepath.Join(root, "harness", "TestFixture")
	expect(t, dir+"/README.txt", "nodes/fw.txt ", "-not all of it")
	expect(t, dir+"/nodes/fw.txt", ": <BROADCAST,MULTICAST> mtu 1500 veth state DOWN\n", "-10.0.2.0/24 dev dmz")
	expect(t, dir+"/nodes/server.txt", ": <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 veth state ")
	expect(t, dir+"/nodes/the/client.txt", ": lo: <LOOPBACK", "-lan")
}

// On a disk that is full, the log says that what lies there is not all of it, and why.
func TestABundleThatDoesNotFitIsNoWholeOne(t *testing.T) {
	t.Parallel()
	cmd := fixture("breaks")
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args = append([]string{"sh", "-c", `trap "" XFSZ; ulimit -f 0; exec "$0" "$@"`, self}, cmd.Args[1:]...)
	if cmd.Path, err = exec.LookPath("sh"); err != nil {
		t.Fatal(err)
	}
	root, out := bundleOf(t, cmd, 1)
	dir := filepath.Join(root, "harness", "TestFixture")
	if want := "only a part of the failure bundle could be written to " + dir + ": write " + dir + "/README.txt: file too large"; !strings.Contains(out, want) {
		t.Errorf("%s in:\n%s", want, out)
	}
}

// A second lab of a test has a bundle of its own: here a namespace that was attached.
func TestAnAttachedNamespaceIsInABundle(t *testing.T) {
	t.Parallel()
	root, _ := bundleOf(t, fixture("attaches"), 1)
	expect(t, filepath.Join(root, "harness", "TestFixture", "nodes", "guest.txt"), "inet 10.0.0.2/24 scope global", "-cannot be read")
	expect(t, filepath.Join(root, "harness", "TestFixture-2", "nodes", "bob.txt"), "inet 10.0.0.2/24 scope global", "-cannot be read")
}

func TestAPanicLeavesABundle(t *testing.T) {
	t.Parallel()
	root, out := bundleOf(t, fixture("panics"), 2)
	dir := filepath.Join(root, "harness", "TestFixture")
	expect(t, dir+"/nodes/bob.txt", "10.0.0.2/24")
	if !strings.Contains(out, dir) || !strings.Contains(out, "panic: so it should") {
		t.Errorf("%s in:\n%s", dir, out)
	}
}

func TestALabThatWentDownBeforeHasNoBundle(t *testing.T) {
	t.Parallel()
	dir, out := bundleOf(t, fixture("fails too late"), 1)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("%v, %v:\n%s", entries, err, out)
	}
}
