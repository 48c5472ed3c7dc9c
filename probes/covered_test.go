package probes_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// covering has the test's labs tell a file which rules were tried. Tests that run
// beside it would tell it as well: those of coverage are not parallel.
func covering(t *testing.T) (file string) {
	t.Helper()
	harness.Require(t, harness.NftTool)
	file = filepath.Join(t.TempDir(), "rules.txt")
	t.Setenv("NSTEST_RULE_COVERAGE", file)
	return file
}

// told are the lines of the file, with spaces for tabs.
func told(t *testing.T, file string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", " "))
	}
	return lines
}

func tells(t *testing.T, file string, want ...string) {
	t.Helper()
	if got := told(t, file); !slices.Equal(got, want) {
		t.Errorf("the file says\n  %s\nand not\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const silence = 100 * time.Millisecond // for what nobody is to answer

// partly is a ruleset that is tried but in part.
const partly = `
table inet filter {
	chain guests {
		udp dport 53 counter reject
	}
	chain staff {
		accept
	}
	chain back {
		return
	}
	chain forward {
		type filter hook forward priority 0; policy drop;
		counter
		ct state established,related accept
		tcp dport 22 drop comment "no ssh"
		tcp dport 22 drop comment "no ssh"
		tcp dport 25 drop comment "no mail"
		jump back
		meta l4proto udp jump guests
		iifname "wlan" jump staff
		tcp dport vmap { 80 : accept, 81 : drop }
	}
	chain input {
		type filter hook input priority 0; policy accept;
	}
}
table ip6 six {
	chain forward {
		type filter hook forward priority 10; policy accept;
		ip6 daddr fd00:2::/64 tcp dport 80 meta mark set 7
		ip6 daddr fd00:2::/64 tcp dport 81 meta mark set 7
	}
}
table ip four {
	chain forward {
		type filter hook forward priority 10; policy accept;
		tcp dport 80 accept
	}
}
`

var partlyTold = []string{
	"decided office fw inet filter guests 1 udp dport 53 counter reject",
	"never office fw inet filter staff 1 accept",
	"matched office fw inet filter back 1 return",
	"decided office fw inet filter forward 0 policy drop",
	"matched office fw inet filter forward 1 counter",
	"decided office fw inet filter forward 1 ct state established,related accept",
	`decided office fw inet filter forward 1 tcp dport 22 drop comment "no ssh"`,
	`never office fw inet filter forward 2 tcp dport 22 drop comment "no ssh"`,
	`never office fw inet filter forward 1 tcp dport 25 drop comment "no mail"`,
	"matched office fw inet filter forward 1 jump back",
	"matched office fw inet filter forward 1 meta l4proto udp jump guests",
	`never office fw inet filter forward 1 iifname "wlan" jump staff`,
	"decided office fw inet filter forward 1 tcp dport vmap { 80 : accept, 81 : drop }",
	"never office fw inet filter input 0 policy accept",
	"decided office fw ip6 six forward 0 policy accept",
	"matched office fw ip6 six forward 1 ip6 daddr fd00:2::/64 tcp dport 80 meta mark set 0x00000007",
	"never office fw ip6 six forward 1 ip6 daddr fd00:2::/64 tcp dport 81 meta mark set 0x00000007",
	"decided office fw ip four forward 0 policy accept",
	"decided office fw ip four forward 1 tcp dport 80 accept",
}

// However the probes are asked, it says the same.
func TestRuleCoverage(t *testing.T) {
	grid := func(watch bool) func(context.Context, *harness.Node, *harness.Node, probes.Probe) error {
		return func(ctx context.Context, from, to *harness.Node, p probes.Probe) error {
			_, err := probes.Grid{From: []*harness.Node{from}, To: []probes.Target{to}, Probes: []probes.Probe{p}, Watch: watch}.Survey(ctx)
			return err
		}
	}
	for name, ask := range map[string]func(context.Context, *harness.Node, *harness.Node, probes.Probe) error{
		"Ask": func(ctx context.Context, from, to *harness.Node, p probes.Probe) error {
			_, err := probes.Ask(ctx, from, to, p)
			return err
		},
		"Watch": func(ctx context.Context, from, to *harness.Node, p probes.Probe) error {
			_, err := probes.Watch(ctx, from, to, p)
			return err
		},
		"Survey":               grid(false),
		"a Survey under watch": grid(true),
	} {
		t.Run(name, func(t *testing.T) {
			file := covering(t)
			t.Run("", func(t *testing.T) {
				lab := harness.Up(t, office(partly))
				probes.Serve(t, lab.Node("server"), web)
				for _, p := range []probes.Probe{web, ssh.Within(silence), dns.Within(silence), icmp.Within(silence)} {
					if err := ask(t.Context(), lab.Node("client"), lab.Node("server"), p); err != nil {
						t.Fatal(err)
					}
				}
				if tables := tablesOf(t, lab.Node("fw")); !slices.Equal(tables[:3], []string{"filter", "six", "four"}) || len(tables) != 4 || !strings.HasPrefix(tables[3], "nstest-") {
					t.Errorf("there are %q", tables)
				}
			})
			tells(t, file, partlyTold...)
		})
	}
}

func tablesOf(t *testing.T, node *harness.Node) (names []string) {
	t.Helper()
	err := node.Nftables(func(conn *nftables.Conn) error {
		tables, err := conn.ListTables()
		for _, table := range tables {
			names = append(names, table.Name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

const oneRule = "table inet filter { chain forward { type filter hook forward priority 0; policy accept; tcp dport 22 drop; }; }"

// The rules are those of every moment: a rule counts that is gone at the end, and
// one that came when nobody asked any more.
func TestRuleCoverageOfRulesThatChange(t *testing.T) {
	file := covering(t)
	t.Run("", func(t *testing.T) {
		lab := harness.Up(t, office(oneRule))
		client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
		nft := func(node *harness.Node, text string) {
			t.Helper()
			if err := node.Nft(text); err != nil {
				t.Fatal(err)
			}
		}
		ask(t, client, server, ssh.Within(silence))
		// The same table with the same handles, and another rule.
		nft(fw, "delete table inet filter; table inet filter { chain forward { type filter hook forward priority 0; policy drop; tcp dport 22 reject; }; }")
		ask(t, client, server, ssh)
		nft(fw, "insert rule inet filter forward icmp type echo-request accept")
		ask(t, client, server, icmp.Within(silence))
		nft(fw, "flush ruleset")
		nft(server, "table ip late { chain input { type filter hook input priority 0; drop; }; }")
	})
	tells(t, file,
		"never office fw inet filter forward 0 policy accept",
		"decided office fw inet filter forward 1 tcp dport 22 drop",
		"decided office fw inet filter forward 0 policy drop",
		"decided office fw inet filter forward 1 tcp dport 22 reject",
		"decided office fw inet filter forward 1 icmp type echo-request accept",
		"never office server ip late input 0 policy accept",
		"never office server ip late input 1 drop",
	)
}

// A rule that a library cannot decode (one about a direction of a connection) hides none of the others.
func TestRuleCoverageOfConnectionsDirections(t *testing.T) {
	file := covering(t)
	t.Run("", func(t *testing.T) {
		lab := harness.Up(t, office(`table inet filter { chain forward {
			type filter hook forward priority 0; policy accept;
			ct original ip saddr 10.0.9.0/24 drop
			ct reply ip saddr 10.0.2.1 drop
		}; }`))
		ask(t, lab.Node("client"), lab.Node("server"), ssh.Within(silence))
	})
	tells(t, file,
		"decided office fw inet filter forward 0 policy accept",
		"never office fw inet filter forward 1 ct original ip saddr 10.0.9.0/24 drop",
		"decided office fw inet filter forward 1 ct reply ip saddr 10.0.2.1 drop",
	)
}

// Rules of iptables-nft are rules, and their comments are the rules'.
func TestRuleCoverageOfIptables(t *testing.T) {
	harness.Require(t, harness.IptablesTool)
	file := covering(t)
	t.Run("", func(t *testing.T) {
		network := topo.New("office")
		lan := network.Wire("lan", "10.0.1.0/24")
		network.Host("client", lan)
		network.Host("server", lan).Iptables("*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n" +
			"-A INPUT -p tcp --dport 22 -m comment --comment \"no ssh\" -j REJECT\n-A INPUT -p tcp --dport 25 -j DROP\nCOMMIT\n")
		lab := harness.Up(t, network)
		ask(t, lab.Node("client"), lab.Node("server"), ssh)
	})
	lines := told(t, file)
	for _, want := range []string{"decided office server ip filter INPUT 1 tcp dport 22 counter reject comment \"no ssh\"", "never office server ip filter INPUT 1 tcp dport 25 counter drop"} {
		if !slices.Contains(lines, want) {
			t.Errorf("%q is not among\n  %s", want, strings.Join(lines, "\n  "))
		}
	}
}

// What is no probe tries nothing, though a test's own rules have it traced and a
// probe is under way.
func TestRuleCoverageIsOfProbes(t *testing.T) {
	file := covering(t)
	t.Run("", func(t *testing.T) {
		lab := harness.Up(t, office(`table inet filter {
			chain early { type filter hook prerouting priority 0; meta nftrace set 1; }
			chain forward { type filter hook forward priority 0; policy drop; udp dport 514 accept; }
		}`))
		client, server, fw := lab.Node("client"), lab.Node("server"), lab.Node("fw")
		conn, err := client.ListenPacket(t.Context(), "udp4", netip.MustParseAddrPort("10.0.1.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		asked := make(chan probes.Result, 1)
		go func() {
			r, err := probes.Ask(t.Context(), client, server, ssh.Within(time.Second))
			if err != nil {
				t.Error(err)
			}
			asked <- r
		}()
		for len(tablesOf(t, fw)) == 1 { // until the trace stands
			if len(asked) > 0 {
				t.Fatalf("it was over before a trace was seen: %v", <-asked)
			}
		}
		if _, err := conn.WriteTo([]byte("a line of a log"), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.2.1:514"))); err != nil {
			t.Fatal(err)
		}
		if r := <-asked; r.Outcome != probes.Silent {
			t.Fatal(r)
		}
	})
	tells(t, file,
		"decided office fw inet filter early 0 policy accept",
		"matched office fw inet filter early 1 meta nftrace set 1",
		"decided office fw inet filter forward 0 policy drop",
		"never office fw inet filter forward 1 udp dport 514 accept",
	)
}

// changes is how often a node's rules were changed.
func changes(t *testing.T, node *harness.Node) (generation uint32) {
	t.Helper()
	err := node.Do(func() error {
		conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		replies, err := conn.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
		})
		if err == nil { // after struct nfgenmsg, the first attribute
			generation = binary.BigEndian.Uint32(replies[0].Data[8:])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return generation
}

// Without the variable nothing stands in the rules, not even for a moment.
func TestNoRuleCoverage(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for on, want := range map[string]uint32{"": 0, filepath.Join(t.TempDir(), "rules.txt"): 1} {
		t.Setenv("NSTEST_RULE_COVERAGE", on)
		lab := harness.Up(t, office(oneRule))
		before := changes(t, lab.Node("fw"))
		ask(t, lab.Node("client"), lab.Node("server"), icmp)
		if _, err := probes.Survey(t.Context(), lab); err != nil {
			t.Fatal(err)
		}
		// A table, which stays.
		if n := changes(t, lab.Node("fw")) - before; n != want {
			t.Errorf("with the file %q there were %d changes, not %d", on, n, want)
		}
	}
}

// A file that cannot be written fails no test, and neither does a lab that is down.
func TestRuleCoverageFailsNoTest(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Setenv("NSTEST_RULE_COVERAGE", filepath.Join(t.TempDir(), "no", "such", "directory"))
	lab := harness.Up(t, office(oneRule))
	if r := ask(t, lab.Node("client"), lab.Node("server"), icmp); r.Outcome != probes.Answered {
		t.Error(r)
	}
	lab.Down()
	if r, err := probes.Ask(t.Context(), lab.Node("client"), lab.Node("server"), icmp); err == nil {
		t.Error(r)
	}
}
