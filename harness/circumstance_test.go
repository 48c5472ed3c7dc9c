package harness_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// What bad circumstances get: each fixture brings one about in a process of its own.
func init() {
	// A user namespace has a limit of its own on how many may lie below it.
	fixtures["full"] = func(t *testing.T) {
		if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("2"), 0); err != nil {
			t.Fatal(err)
		}
		harness.Up(t, office())
	}
	fixtures["crowded"] = func(t *testing.T) {
		lab := harness.Up(t, pair())
		if err := os.WriteFile("/proc/sys/user/max_net_namespaces", []byte("3"), 0); err != nil {
			t.Fatal(err)
		}
		_ = lab
		harness.Up(t, pair())
	}
	fixtures["descriptors"] = func(t *testing.T) {
		limit := unix.Rlimit{Cur: 40, Max: 40}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
		harness.Up(t, office())
	}
	fixtures["processes"] = func(t *testing.T) {
		limit := unix.Rlimit{Cur: 10, Max: 10}
		if err := unix.Setrlimit(unix.RLIMIT_NPROC, &limit); err != nil {
			t.Fatal(err)
		}
		harness.Up(t, office())
	}
	fixtures["no user namespaces"] = func(t *testing.T) {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			t.Fatal(err)
		}
		out, status := outcome(t, unprivileged("up"))
		t.Logf("inner status %d: %s", status, out)
	}
	fixtures["no nft"] = func(t *testing.T) {
		harness.Up(t, pair()) // no ruleset, no need
		network := topo.New("ruled")
		network.Host("fw", network.Switch("lan", "10.0.0.0/24")).Nft("table inet t {}")
		harness.Up(t, network)
	}
}

func TestCircumstances(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"full":               "up: the lab needs 4 network namespaces, and 0 of at most 2 are in use: raise sysctl user.max_net_namespaces",
		"crowded":            "up: make network namespace: no space left on device: no room for another one: raise user.max_net_namespaces",
		"descriptors":        "descriptors, and ",
		"processes":          "ulimit -u",
		"no user namespaces": "nstest: enter the sandbox: no space left on device: user namespaces are forbidden by user.max_user_namespaces=0; allow them: sudo sysctl -w user.max_user_namespaces=10000, or run the tests as root",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, status := outcome(t, unprivileged(name, "-test.v"))
			if !strings.Contains(out, want) || status != 1 && name != "no user namespaces" {
				t.Errorf("status %d, want %q in:\n%s", status, want, out)
			}
		})
	}
}

func TestNftMissingIsToldOnlyWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	// A mount namespace in which /usr/sbin and the like hold nothing.
	cmd := unprivileged("hidden nft")
	out, status := outcome(t, cmd)
	want := "up: host fw: load nft ruleset: nft is not on this machine: apt-get install nftables"
	if status != 1 || !strings.Contains(out, want) {
		t.Errorf("status %d, want %q in:\n%s", status, want, out)
	}
}

func init() {
	fixtures["hidden nft"] = func(t *testing.T) {
		t.Setenv("PATH", "")
		for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin"} {
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil && !errors.Is(err, unix.ENOENT) {
				t.Fatal(err)
			}
		}
		fixtures["no nft"](t)
	}
}

func TestNftRefusesTheText(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	network := topo.New("ruled")
	lan := network.Switch("lan", "10.0.0.0/24")
	network.Router("fw", lan).Nft("table inet filter {\n  chain forward {\n    tcp dport nonsense drop\n  }\n}\n")
	r := record(t, func(tb harness.TB) { harness.Up(tb, network) })
	for _, want := range []string{"up: router fw: load nft ruleset: nft: line 3:", "nonsense", "Error: "} {
		if !strings.Contains(r.fatal, want) {
			t.Errorf("%q is not in: %s", want, r.fatal)
		}
	}
}

func TestIptablesRefusesTheText(t *testing.T) {
	harness.Require(t, harness.IptablesTool)
	t.Parallel()
	network := topo.New("ruled")
	lan := network.Switch("lan", "10.0.0.0/24")
	network.Host("a", lan).Iptables("*filter\n-A INPUT -j NONSENSE\nCOMMIT\n")
	r := record(t, func(tb harness.TB) { harness.Up(tb, network) })
	for _, want := range []string{"up: host a: load iptables text: iptables-restore: ", "NONSENSE", "line"} {
		if !strings.Contains(r.fatal, want) {
			t.Errorf("%q is not in: %s", want, r.fatal)
		}
	}
}

func TestRequireSkipsAndAudits(t *testing.T) {
	never := harness.Tool("no-such-program")
	t.Setenv("NSTEST_STRICT", "")
	r := record(t, func(tb harness.TB) { harness.Require(tb, harness.IPv6, never); t.Error("went on") })
	if r.fatal != "" || !strings.Contains(r.skip, "require no-such-program: no-such-program is not on this machine") {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
	t.Setenv("NSTEST_STRICT", "1")
	r = record(t, func(tb harness.TB) { harness.Require(tb, never) })
	if r.skip != "" || !strings.Contains(r.fatal, "NSTEST_STRICT=1 allows no such skip") {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
	t.Setenv("NSTEST_MISSING", "netem,no-such-program")
	r = record(t, func(tb harness.TB) { harness.Require(tb, never) })
	if r.fatal != "" || r.skip == "" {
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
	t.Setenv("NSTEST_MISSING", "")
	went := false
	record(t, func(tb harness.TB) { harness.Require(tb, harness.MACVLAN, harness.Kernel(3, 0)); went = true })
	if !went {
		t.Error("a feature that is there is missing")
	}
	r = record(t, func(tb harness.TB) { harness.Require(tb, harness.Kernel(99, 0)) })
	if r.fatal != "" || !strings.Contains(r.skip, "require kernel-99.0: the kernel is ") { // which nobody can provide
		t.Errorf("fatal %q, skip %q", r.fatal, r.skip)
	}
}
