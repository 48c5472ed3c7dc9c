package rules_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/topo"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// oneNode is a lab of a single node with those rules.
func oneNode(t testing.TB, text string) *harness.Node {
	network := topo.New("one")
	network.Host("a", network.Switch("eth0", "10.0.1.0/24", "fd00:1::/64")).Nft(text)
	return harness.Up(t, network).Node("a")
}

// read reads a node's rules.
func read(t testing.TB, node *harness.Node) *inspect.Ruleset {
	t.Helper()
	var set *inspect.Ruleset
	err := node.Do(func() error {
		conn, err := inspect.DialRuleset()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		set, err = inspect.ReadRuleset(conn)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// loaded is what the kernel makes of a ruleset's text.
func loaded(t testing.TB, text string) *inspect.Ruleset {
	t.Helper()
	return read(t, oneNode(t, text))
}

var (
	source  = netip.MustParseAddr("10.0.1.5")
	target  = netip.MustParseAddr("10.0.9.1")
	source6 = netip.MustParseAddr("fd00:1::5")
	target6 = netip.MustParseAddr("fd00:9::1")
)

// packet is one that comes in by lan, a connection's first, with flags of a SYN if it
// is TCP's; the type is an echo request's.
func packet(protocol uint8, srcPort, dstPort uint16) rules.Packet {
	return rules.Packet{
		Src: source, Dst: target, Protocol: &protocol, SrcPort: &srcPort, DstPort: &dstPort, Flags: new(uint8(2)), Type: new(uint8(8)), Code: new(uint8(0)),
		TTL: new(uint8(64)), TOS: new(uint8(0)), Length: new(uint16(60)), In: rules.Interface{Name: "lan", Index: 3}, Out: rules.Interface{Name: "wan", Index: 4},
		Mark: new(uint32(0)), State: new(expr.CtStateBitNEW),
	}
}

func tcp(dstPort uint16) rules.Packet { return packet(6, 40000, dstPort) }
func udp(dstPort uint16) rules.Packet { return packet(17, 40000, dstPort) }
func ping() rules.Packet              { return packet(1, 0, 0) }

func with(p rules.Packet, change func(*rules.Packet)) rules.Packet {
	change(&p)
	return p
}

func six(p rules.Packet) rules.Packet {
	p.Src, p.Dst = source6, target6
	if *p.Protocol == 1 {
		p.Protocol, p.Type = new(uint8(58)), new(uint8(128))
	}
	return p
}

func sorted(text string) string {
	words := strings.Split(text, ", ")
	slices.Sort(words)
	return strings.Join(words, ", ")
}
