package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// ruleset has all that text is taken apart by, and what might be taken for it.
const ruleset = `# a comment { with a brace
flush ruleset
define lan = { 10.0.0.1, 10.0.0.2 }
define long = \
	10.1.0.0/16
table inet f {
	comment "a } in quotes; # and more"
	set few { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 comment "one, two", 10.0.0.3 }; }
	set many { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/24 . 1-5, 10.0.1.1 . 80 }; }
	map where { type inet_service : verdict; elements = { 80 : accept, 81 : jump own, 82 : goto own } }
	set seen { type ipv4_addr; flags dynamic, timeout; timeout 1m; size 9; }
	counter hits { packets 3 bytes 4; }
	chain own { ip protocol { 6, 17 } accept comment "; }"; counter name hits drop; }
	chain c {
		type filter hook forward priority filter; policy drop; comment "a chain"
		ip saddr $lan accept
		ip saddr $long counter
		tcp dport vmap @where
		ip saddr . tcp dport @many accept; ip saddr @few \
			drop
		tcp dport vmap { 1 : accept, 2 : jump own }
		update @seen { ip saddr limit rate over 3/second } drop
	}
}
add table ip6 flat
add chain ip6 flat c { type filter hook input priority 0; policy accept; }
add rule ip6 flat c tcp dport { 22, 23 } accept
table plain { chain c { ip saddr 10.0.0.1 accept; }; }
add rule inet f c counter comment "last"
`

// alone is a node without neighbours.
func alone(t *testing.T) *Node {
	t.Helper()
	network := topo.New("alone")
	network.Host("bob")
	return Up(t, network).Node("bob")
}

func listed(t *testing.T, n *Node, program ...string) string {
	t.Helper()
	out, err := n.Command(program[0], program[1:]...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Whatever the kernel takes at a time, what is loaded is what nft loads at once.
func TestARulesetInPartsIsTheSame(t *testing.T) {
	t.Parallel()
	Require(t, NftTool)
	bob := alone(t)
	nft, err := tool("nft", "nftables")
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.runNft(nft, "table inet old { chain c { tcp dport 1 accept; }; }"); err != nil {
		t.Fatal(err)
	}
	if err := bob.runNft(nft, ruleset); err != nil {
		t.Fatal(err)
	}
	want := listed(t, bob, "nft", "-s", "list", "ruleset")
	for _, most := range []int{0, 200, 500, 1000, 9999} {
		r := takeApart(ruleset, nil)
		took := 0
		err := r.load(func(text string) error {
			if len(text) > most && text != r.part(r.pieces[:1]) {
				return unix.EMSGSIZE
			}
			took++
			return bob.runNft(nft, text)
		})
		if err != nil {
			t.Fatalf("%d bytes at a time: %v", most, err)
		}
		if most == 0 && took < 25 {
			t.Errorf("the control: it took %d parts", took)
		}
		if asleep := listed(t, bob, "nft", "-s", "list", "ruleset"); strings.Count(asleep, "flags dormant") != 3 {
			t.Errorf("%d bytes at a time: not all tables were dormant till the end:\n%s", most, asleep)
		}
		if err := bob.runNft(nft, each("add table %s\n", r.asleep)); err != nil {
			t.Fatal(err)
		}
		if got := listed(t, bob, "nft", "-s", "list", "ruleset"); got != want {
			t.Errorf("%d bytes at a time:\n%s\nat once:\n%s", most, got, want)
		}
	}
}

// What is refused leaves nothing of new tables, and says what else is left.
func TestARulesetInPartsThatIsRefused(t *testing.T) {
	t.Parallel()
	Require(t, NftTool)
	bob := alone(t)
	nft, err := tool("nft", "nftables")
	if err != nil {
		t.Fatal(err)
	}
	const refused = "table inet a { chain c { type filter hook input priority 0; tcp dport 1 accept; jump nowhere; }; }\n"
	if err := bob.nftInParts(nft, refused); err == nil || strings.Contains(err.Error(), inPart) {
		t.Errorf("%v", err)
	}
	if left := listed(t, bob, "nft", "list", "ruleset"); left != "" {
		t.Errorf("left:\n%s", left)
	}
	if err := bob.runNft(nft, "table inet a { chain c { }; }"); err != nil {
		t.Fatal(err)
	}
	if err := bob.nftInParts(nft, refused); err == nil || !strings.Contains(err.Error(), inPart) {
		t.Errorf("%v", err)
	}
}

// An ordinary user's rulesets may be as large as root's.
func TestARulesetThatIsLargerThanAMessage(t *testing.T) {
	t.Parallel()
	Require(t, NftTool, IptablesTool)
	text, err := os.ReadFile("/proc/sys/net/core/wmem_max")
	if err != nil {
		t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	n := max(5000, most/200)
	bob := alone(t)
	var rules, lines strings.Builder
	for i := range n {
		fmt.Fprintf(&rules, "ip saddr 10.%d.%d.0/24 tcp dport 80 counter accept\n", i/256, i%256)
		fmt.Fprintf(&lines, "-A mine -s 10.%d.%d.0/24 -p tcp --dport 80 -j ACCEPT\n", i/256, i%256)
	}
	if err := bob.Nft("table inet f { chain c { type filter hook input priority 0; policy drop;\n" + rules.String() + "}\n}\n"); err != nil {
		t.Fatal(err)
	}
	if has := listed(t, bob, "nft", "list", "ruleset"); strings.Count(has, "accept\n") != n || strings.Contains(has, "dormant") {
		t.Errorf("%d of %d rules: %.300s", strings.Count(has, "accept\n"), n, has)
	}
	if err := bob.Iptables("*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n-A INPUT -j mine\n" + lines.String() + "COMMIT\n"); err != nil {
		t.Fatal(err)
	}
	if has := listed(t, bob, "iptables-save"); strings.Count(has, "-j ACCEPT\n") != n || !strings.Contains(has, ":INPUT DROP") {
		t.Errorf("%d of %d rules: %.300s", strings.Count(has, "-j ACCEPT\n"), n, has)
	}
}

func TestIptablesInParts(t *testing.T) {
	t.Parallel()
	const text = "# said\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j REDIRECT\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n-A INPUT -j mine\n-A mine -j ACCEPT\nCOMMIT\n"
	var parts []string
	refused := errors.New("refused")
	for most, want := range map[int]string{
		1: "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n|*nat\n-A PREROUTING -p tcp -j REDIRECT\nCOMMIT\n|" +
			"*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\nCOMMIT\n|*filter\n-A INPUT -j mine\nCOMMIT\n|*filter\n-A mine -j ACCEPT\nCOMMIT\n",
		9: "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j REDIRECT\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n:mine - [0:0]\n-A INPUT -j mine\n-A mine -j ACCEPT\nCOMMIT\n",
	} {
		parts = nil
		load := func(refuse string) error {
			return iptablesInParts(text, func(part string) error {
				rules := strings.Count(part, "\n-A") + strings.Count(part, "\n:")
				switch {
				case rules > most && strings.Contains(part, "-A") && rules > 1:
					return unix.EMSGSIZE
				case refuse != "" && strings.Contains(part, refuse):
					return refused
				}
				parts = append(parts, part)
				return nil
			})
		}
		if err := load(""); err != nil || strings.Join(parts, "|") != want {
			t.Errorf("%d at a time: %v %q", most, err, parts)
		}
		if err := load("-j mine"); !errors.Is(err, refused) || strings.Contains(err.Error(), inPart) != (most == 1) {
			t.Errorf("%d at a time, refused: %v", most, err)
		}
	}
}
