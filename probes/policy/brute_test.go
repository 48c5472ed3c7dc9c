package policy_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// A header space that is small enough to be sent whole. What rules of this test ask for cuts it nowhere finer.
var (
	spaceAddrs = []string{"1", "2", "77", "200"} // of each side's prefix
	spacePorts = []uint16{5, 21, 22, 50, 79, 80, 81, 999}
	spaceFlags = []byte{1, 2, 3, 16} // FIN, SYN, both, ACK
	spaceTTLs  = []byte{64, 2}       // one less at the rules
)

// headers are packets of the space, as they stand behind the Ethernet header.
func headers(v6 bool) (all [][]byte) {
	for _, src := range spaceSides(v6) {
		for _, dst := range spaceSides(v6) {
			for _, port := range spacePorts {
				upper := make([]byte, 20)
				binary.BigEndian.PutUint16(upper, 40000)
				binary.BigEndian.PutUint16(upper[2:], port)
				upper[12] = 5 << 4
				for _, flags := range spaceFlags {
					upper[13] = flags
					all = append(all, header(src, dst, unix.IPPROTO_TCP, upper))
				}
				all = append(all, header(src, dst, unix.IPPROTO_UDP, append(slices.Clone(upper[:4]), 0, 8, 0, 0)))
			}
			for _, protocol := range []uint8{unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} {
				for _, kind := range []byte{8, 128, 5} {
					all = append(all, header(src, dst, protocol, []byte{kind, 0, 0, 0, 0, 0, 0, 0}))
				}
			}
			for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6} { // cut short
				all = append(all, header(src, dst, protocol, nil))
			}
			all = append(all, header(src, dst, 47, make([]byte, 8)))
		}
	}
	usual := all
	for _, ttl := range spaceTTLs[1:] {
		for _, h := range usual {
			all = append(all, withTTL(slices.Clone(h), ttl))
		}
	}
	return all
}

func spaceSides(v6 bool) (all []netip.Addr) {
	for side := range 2 {
		for _, host := range spaceAddrs {
			all = append(all, spaceAddr(v6, side+1, host))
		}
	}
	return all
}

func spaceAddr(v6 bool, side int, host string) netip.Addr {
	if v6 {
		return netip.MustParseAddr(fmt.Sprintf("fd00:%d::%s", side, host))
	}
	return netip.MustParseAddr(fmt.Sprintf("10.0.%d.%s", side, host))
}

// sendAll sends frames to a node, from a port of another one.
func sendAll(t testing.TB, from *harness.Node, port string, to *harness.Node, v6 bool, packets [][]byte) {
	t.Helper()
	var mac net.HardwareAddr
	err := to.Do(func() error {
		device, err := net.InterfaceByName(port)
		if err == nil {
			mac = device.HardwareAddr
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = from.Do(func() error {
		device, err := net.InterfaceByName(port)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		link := &unix.SockaddrLinklayer{Ifindex: device.Index, Halen: 6, Protocol: 0x0008}
		if v6 {
			link.Protocol = 0xdd86
		}
		copy(link.Addr[:], mac)
		for _, p := range packets {
			if err := unix.Sendto(fd, p, 0, link); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// generator makes rules that ask for what the space has.
type generator struct{ *rand.Rand }

func (g generator) one(words ...string) string { return words[g.IntN(len(words))] }

// side is a condition on an address.
func (g generator) side(v6 bool, way string) string {
	n := g.one("1", "2")
	if v6 {
		return g.one("ip6 "+way+" fd00:"+n+"::"+g.one("1", "200", "/64", "0/120"), "ip6 "+way+" != fd00:"+n+"::2")
	}
	return g.one(
		"ip "+way+" 10.0."+n+"."+g.one("1", "2", "77", "200"),
		"ip "+way+" 10.0."+n+"."+g.one("0/25", "0/30", "64/26", "0/24", "192-10.0."+n+".255"),
		"ip "+way+" "+g.one("", "!= ")+"{ 10.0.1.1, 10.0.1.77-10.0.1.201, 10.0.2.2 }",
	)
}

// node is a condition on what hops and a node's addresses make of a packet, one time out of four.
func (g generator) node(v6 bool) string {
	if g.IntN(4) > 0 {
		return ""
	}
	if v6 {
		return g.one("ip6 hoplimit < 63 ", "ip6 hoplimit >= 63 ")
	}
	return g.one("ip ttl < 63 ", "ip ttl >= 63 ", "meta nfproto ipv4 fib daddr type unicast ", "meta nfproto ipv4 fib daddr type { local, multicast } ", "meta nfproto ipv4 fib daddr type != { local, anycast } ")
}

func (g generator) ports() string {
	return g.one("tcp", "udp") + " dport " + g.one("22", "80", "22-80", "{ 21, 80 }", "!= 80", "< 80", ">= 22", "0-65535", "{ 0-21, 81-65535 }")
}

// rule is one with a counter, unless it has a verdict map: the counter would count what that has not.
func (g generator) rule(verdicts ...string) (text string) {
	if g.IntN(2) == 0 {
		text = g.one(`iifname "lan"`, `oifname "lan"`, `iifname "dmz"`, `iifname != "dmz"`, `iif "lan"`) + " "
	}
	if family := g.IntN(3); family < 2 {
		v6 := family == 1
		text += g.one("", g.side(v6, "saddr"), g.side(v6, "daddr"), g.side(v6, "saddr")+" "+g.side(v6, "daddr"), "meta nfproto "+map[bool]string{false: "ipv4", true: "ipv6"}[v6]) + " " + g.node(v6)
	}
	switch g.IntN(9) {
	case 0, 1, 2, 3:
		text += g.ports() + " "
	case 4, 5:
		text += g.one("meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != udp", "meta l4proto icmp icmp type echo-request", "meta l4proto ipv6-icmp icmpv6 type echo-request",
			"meta l4proto { tcp, udp } th dport 22", "tcp flags syn", "tcp flags & (fin | syn) == fin") + " "
	case 6:
		ends := slices.DeleteFunc(slices.Clone(verdicts), func(v string) bool { return v == "" })
		return text + g.one("tcp", "udp") + " dport vmap { 22 : " + g.one(ends...) + ", 79-81 : " + g.one(ends...) + " }"
	}
	return text + "counter " + g.one(verdicts...)
}

func (g generator) rules(count int, verdicts ...string) (text string) {
	for range count {
		text += "\t\t" + g.rule(verdicts...) + "\n"
	}
	return text
}

// generated is a ruleset whose first rule of the base chain counts all, and its last one what comes to the policy, but for
// what returns there.
func generated(r *rand.Rand) string {
	g := generator{r}
	return "table inet filter {\n\tchain inner {\n" + g.rules(1+r.IntN(3), "accept", "drop", "return", "") +
		"\t}\n\tchain outer {\n" + g.rules(1+r.IntN(4), "accept", "drop", "return", "jump inner", "goto inner") +
		"\t}\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy " + g.one("accept", "drop") + ";\n\t\tcounter\n" +
		g.rules(3+r.IntN(8), "accept", "drop", "accept", "drop", "jump outer", "goto outer", "jump inner", "", "return") + "\t\tcounter\n\t}\n}\n"
}

// rulesOf are the node's rules.
func rulesOf(t *testing.T, node *harness.Node) *inspect.Ruleset {
	t.Helper()
	set, err := watch.ReadRules(node)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// counted are how many packets each rule of the node matched, by place.
func counted(t *testing.T, node *harness.Node) map[string]uint64 {
	t.Helper()
	made := map[string]uint64{}
	for _, table := range rulesOf(t, node).Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, x := range rule.Exprs {
					if c, is := x.(*expr.Counter); is && table.Name != "judge" {
						made[fmt.Sprintf("%s %d", chain.Name, rule.Position)] = c.Packets
					}
				}
			}
		}
	}
	return made
}

// sides is a firewall between two segments, with nobody at the addresses of the space.
func sides(rules string) *topo.Network {
	sides := topo.New("sides")
	lan := sides.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := sides.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	sides.Host("client", lan.At("10.0.1.10", "fd00:1::10"))
	sides.Host("server", dmz.At("10.0.2.10", "fd00:2::10"))
	sides.Router("fw", lan.At("10.0.1.11", "fd00:1::11"), dmz.At("10.0.2.11", "fd00:2::11")).Nft(rules)
	return sides
}

// sendSpace sends all packets of the space through fw, and returns what the rules counted.
func sendSpace(t *testing.T, lab *harness.Lab) map[string]uint64 {
	t.Helper()
	fw := lab.Node("fw")
	want := uint64(0)
	askNobody(t, fw)
	for _, v6 := range []bool{false, true} {
		all := headers(v6)
		sendAll(t, lab.Node("client"), "lan", fw, v6, all)
		sendAll(t, lab.Node("server"), "dmz", fw, v6, all)
		want += uint64(2 * len(all))
	}
	var counts map[string]uint64
	NewWithT(t).Eventually(func() uint64 {
		counts = counted(t, fw)
		return counts["forward 1"]
	}).WithContext(t.Context()).Within(soon).Should(BeNumerically(">=", want), "packets that came of those that were sent")
	if counts["forward 1"] != want {
		t.Fatalf("%d packets came, and %d were sent", counts["forward 1"], want)
	}
	return counts
}

// askNobody has fw send to all on its links, and look for no neighbour: what it says by ICMP to an address that nobody has would wait
// for seconds, and keep other labs from answering.
func askNobody(t *testing.T, fw *harness.Node) {
	t.Helper()
	kernel := fw.Netlink()
	for _, port := range []string{"lan", "dmz"} {
		link, err := kernel.LinkByName(port)
		if err == nil {
			err = kernel.LinkSetARPOff(link)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// soon is when what was sent has been counted, however busy the machine.
const soon = 25 * time.Second

// Whatever the rules are, one is decided or matched where counters say so of the whole space, and never else.
func TestCoverAgainstTheWholeSpace(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(seeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rules := generated(rand.New(rand.NewPCG(seed, 14)))
			lab := harness.Up(t, sides(rules))
			report := covered(t, lab)
			counts := sendSpace(t, lab)
			if wrong := disagree(report, counts); wrong != "" {
				t.Errorf("seed %d: %s\n%s\n%s", seed, wrong, report, rules)
			}
		})
	}
}

// disagree says where a report and counters do.
func disagree(report policy.Report, counts map[string]uint64) string {
	var wrong []string
	final := 0 // the position of the rule before
	for _, r := range report.Rules {
		if r.Position == 0 && counts[fmt.Sprintf("%s %d", r.Chain, final)] > 0 && r.Fate != policy.Decided {
			wrong = append(wrong, fmt.Sprintf("%s, and packets came to it", r))
		}
		final = r.Position
		count, counted := counts[fmt.Sprintf("%s %d", r.Chain, r.Position)]
		if !counted {
			continue
		}
		met := slices.Contains([]policy.Fate{policy.Decided, policy.Redundant, policy.Matched}, r.Fate)
		if met != (count > 0) {
			wrong = append(wrong, fmt.Sprintf("%s, and %d packets were counted", r, count))
		}
	}
	slices.Sort(wrong)
	return strings.Join(wrong, "\n")
}
