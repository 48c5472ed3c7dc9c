package policy_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"golang.org/x/sys/unix"
)

// packetIn is a packet, of its headers, as it comes in by an interface.
func packetIn(in string, h []byte) policy.Packet {
	p := policy.Packet{In: in}
	var upper []byte
	if h[0]>>4 == 6 {
		p.Protocol, p.TTL, upper = h[6], h[7], h[40:]
		p.Source, p.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(h[8:])), 0), netip.AddrPortFrom(netip.AddrFrom16([16]byte(h[24:])), 0)
	} else {
		p.Protocol, p.TTL, upper = h[9], h[8], h[20:]
		p.Source, p.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(h[12:])), 0), netip.AddrPortFrom(netip.AddrFrom4([4]byte(h[16:])), 0)
	}
	switch p.Short = len(upper) == 0; {
	case p.Short:
	case p.Protocol == unix.IPPROTO_TCP || p.Protocol == unix.IPPROTO_UDP:
		p.Source = netip.AddrPortFrom(p.Source.Addr(), binary.BigEndian.Uint16(upper))
		p.Destination = netip.AddrPortFrom(p.Destination.Addr(), binary.BigEndian.Uint16(upper[2:]))
		if p.Protocol == unix.IPPROTO_TCP {
			p.Flags = upper[13]
		}
	case p.Protocol == unix.IPPROTO_ICMP || p.Protocol == unix.IPPROTO_ICMPV6:
		p.Type, p.Code = upper[0], upper[1]
	}
	return p
}

// judged is the element under which a judge writes down a packet that came by an interface.
func judged(index int, p policy.Packet) string {
	var key []byte
	add := func(b ...byte) { key = append(append(key, b...), make([]byte, -len(b)&3)...) }
	v6 := p.Source.Addr().Is6()
	add(binary.NativeEndian.AppendUint32(nil, uint32(index))...)
	add(p.TTL - 1)
	add(p.Source.Addr().AsSlice()...)
	add(p.Destination.Addr().AsSlice()...)
	port := binary.BigEndian.AppendUint16(nil, p.Destination.Port())
	set := "rest"
	switch {
	case p.Short:
		add(p.Protocol)
	case p.Protocol == unix.IPPROTO_TCP:
		set = "tcp"
		add(port...)
		add(p.Flags)
	case p.Protocol == unix.IPPROTO_UDP:
		set = "udp"
		add(port...)
	case p.Protocol == unix.IPPROTO_ICMP || p.Protocol == unix.IPPROTO_ICMPV6:
		set = "icmp"
		add(p.Protocol)
		add(p.Type)
	default:
		add(p.Protocol)
	}
	return fmt.Sprintf("%s%s %x", set, map[bool]string{false: "4", true: "6"}[v6], key)
}

// told is what a policy says of the whole space: which packets are let through, as a judge writes them down, and how
// many each rule decides.
func told(t *testing.T, p policy.Policy, fw *harness.Node) (let []string, decided map[string]uint64) {
	t.Helper()
	decided = map[string]uint64{}
	for _, in := range []string{"lan", "dmz"} {
		link, err := fw.Netlink().LinkByName(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, v6 := range []bool{false, true} {
			for _, h := range headers(v6) {
				packet := packetIn(in, h)
				flow, class := p.Find(packet)
				switch {
				case flow == nil:
					t.Fatalf("no class has %s of %+v:\n%s", in, packet, p)
				case flow.From != in || class.Ending != policy.Accepted && class.Ending != policy.Dropped:
					t.Fatalf("%s of %+v: %s -> %s: %s %s", in, packet, flow.From, flow.To, class.Text, class.Why)
				}
				if class.Ending == policy.Accepted {
					let = append(let, judged(link.Attrs().Index, packet))
				}
				for _, by := range class.By {
					decided[by]++
				}
			}
		}
	}
	slices.Sort(let)
	return slices.Compact(let), decided
}

// Of the whole space each packet is in one class, and has the ending that the kernel gives it, by the rule that counts it.
func TestOfAgainstTheWholeSpace(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for seed := range uint64(seeds()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rules := generated(rand.New(rand.NewPCG(seed, 18)))
			lab := harness.Up(t, sides(rules))
			p, err := policy.Of(t.Context(), lab, "fw")
			if err != nil {
				t.Fatal(err)
			}
			for place, packets := range counted(t, lab.Node("fw")) {
				if packets > 0 {
					t.Errorf("seed %d: %s counted %d packets: the lab is not as it was", seed, place, packets)
				}
			}
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			var read policy.Policy
			if err := json.Unmarshal(data, &read); err != nil || read.String() != p.String() {
				t.Errorf("read from JSON (%v) it is\n%s", err, read)
			}
			if strings.Contains(p.String(), "not known") || len(p.Notes) > 0 {
				t.Errorf("seed %d: %s\n%s", seed, p, rules)
			}
			says, decided := told(t, read, lab.Node("fw"))
			judged := 0
			for place, count := range sendSpace(t, lab) {
				chain, position, _ := strings.Cut(place, " ")
				by := fmt.Sprintf("rule %s of inet filter %s (", position, chain)
				for rule, says := range decided {
					if strings.HasPrefix(rule, by) {
						judged++
						if says != count {
							t.Errorf("seed %d: %s decides %d packets, and counted %d", seed, rule, says, count)
						}
					}
				}
			}
			t.Logf("%d classes' rules were judged by their counters, %d packets are let through", judged, len(says))
			does := slices.DeleteFunc(let(t, lab, rules), func(s string) bool { return strings.HasPrefix(s, "__") }) // the judge's own sets
			if packet := firstApart(says, does); packet != "" {
				t.Errorf("seed %d: it says that %s is let through: %v\n%s\n%s", seed, packet, slices.Contains(says, packet), p, rules)
			}
		})
	}
}

// firstApart is the first that only one of two lists in order has; "" for none.
func firstApart(a, b []string) string {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if rest := slices.Concat(a[:min(1, len(a))], b[:min(1, len(b))]); len(rest) > 0 {
		return slices.Min(rest)
	}
	return ""
}
