package rules_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// probe is a datagram as a probe of ours is: with the traits that a socket has by itself.
func probe(change ...func(*rules.Packet)) rules.Packet {
	p := udp(53)
	p.TTL, p.TOS, p.Length, p.SrcPort = new(uint8(63)), new(uint8(0)), new(uint16(60)), new(uint16(40001))
	p.UID, p.GID = new(uint32(0)), new(uint32(0))
	p.Foreign = true
	for _, f := range change {
		f(&p)
	}
	return p
}

// behind is one router away.
func behind(p *rules.Packet) { p.MostTTL = 254 }

func own(p *rules.Packet) { p.Foreign = false }

func TestChoosing(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	drop := "chain pass { type filter hook forward priority 0; policy drop; "
	open := "chain pass { type filter hook forward priority 0; policy accept; "
	out := "chain out { type filter hook output priority 0; "
	for _, c := range []struct {
		name, text, steps string
		packet            rules.Packet
		want              string
	}{
		{"a source port that drops", open + "udp sport 32768-46000 drop; };", "pass:1", probe(), "pass:1 the source port"},
		{"a mask of it", open + "udp sport & 1 == 1 drop; };", "pass:1", probe(), "pass:1 the source port"},
		{"in a map", open + "udp sport vmap { 40001 : drop, 53 : accept }; };", "pass:1", probe(), "pass:1 the source port"},
		{"with another field", drop + "udp sport . udp dport { 53 . 53 } accept; };", "pass:policy", probe(), "pass:1 the source port"},
		{"that accepts another service", drop + "udp sport 67 udp dport 68 accept; };", "pass:policy", probe(), ""},
		{"that accepts", drop + "udp sport 53 accept; };", "pass:policy", probe(), "pass:1 the source port"},
		{"that drops before a policy that drops", drop + "udp sport > 1024 drop; };", "pass:1", probe(), ""},
		{"that only counts", drop + "udp sport 53 counter; };", "pass:policy", probe(), ""},
		{"of another protocol", drop + "tcp sport 53 accept; };", "pass:policy", probe(), ""},
		{"behind what drops all", drop + "drop; udp sport 53 accept; };", "pass:1", probe(), ""},
		{"of what is established", drop + "udp sport 53 ct state established accept; };", "pass:policy", probe(), ""},
		{"of what is new", drop + "udp sport 53 ct state new accept; };", "pass:policy", probe(), "pass:1 the source port"},
		{"then what is established", open + "udp sport > 1024 goto side; }; chain side { ct state established accept; drop; };", "pass:1 side:2", probe(), "pass:1 the source port"},
		{"a jump to what lets in only what is established", drop + "udp sport 53 goto side; }; chain side { ct state established accept; drop; };", "pass:policy", probe(), ""},
		{"a length", open + "udp length > 20 drop; };", "pass:1", probe(), "pass:1 the packet's length"},
		{"the whole length", open + "meta length > 40 drop; };", "pass:1", probe(), "pass:1 the packet's length"},
		{"a DSCP", open + "ip dscp 0 drop; };", "pass:1", probe(), "pass:1 the traffic class (DSCP, ECN)"},
		{"an ECN", open + "ip ecn 0 drop; };", "pass:1", probe(), "pass:1 the traffic class (DSCP, ECN)"},
		{"a DSCP that is counted", open + "ip dscp 0 counter; drop; };", "pass:1 pass:2", probe(), ""},
		{"a DSCP that is set", open + "ip dscp set cs1; udp dport 53 drop; };", "pass:1 pass:2", probe(), ""},
		{"a TTL", open + "ip ttl 63 drop; };", "pass:1", probe(), "pass:1 the TTL"},
		{"a least TTL", open + "ip ttl <= 64 drop; };", "pass:1", probe(), "pass:1 the TTL"},
		{"a TTL that lets in", drop + "ip ttl > 64 accept; };", "pass:policy", probe(), "pass:1 the TTL"},
		{"a TTL that only a neighbour has", drop + "ip ttl 255 accept; };", "pass:policy", probe(behind), ""},
		{"one that any may have", drop + "ip ttl 253 accept; };", "pass:policy", probe(behind), "pass:1 the TTL"},
		{"one that the router takes away", drop + "ip ttl 254 accept; };", "pass:policy", probe(behind), ""},
		{"one that it takes away, at a hook before", "chain raw { type filter hook prerouting priority 0; policy drop; ip ttl 254 accept; };", "raw:policy", probe(behind), "raw:1 the TTL"},
		{"one in a set", drop + "ip ttl { 254, 255 } accept; };", "pass:policy", probe(behind), ""},
		{"one that is set before", drop + "ip ttl set 200; ip ttl 255 accept; };", "pass:1 pass:policy", probe(behind), "pass:2 the TTL"},
		{"one with a length", drop + "ip ttl 255 meta length 40 accept; };", "pass:policy", probe(behind), ""},
		{"one or a length", drop + "ip ttl != 255 meta length 40 accept; };", "pass:policy", probe(behind), "pass:1 the packet's length"},
		{"a hop limit of a neighbour", drop + "ip6 hoplimit 255 accept; };", "pass:policy", six(probe(behind)), ""},
		{"a header's length", open + "ip hdrlength 5 drop; };", "pass:1", probe(), "pass:1 options or extension headers"},
		{"the version", open + "ip version 4 drop; };", "pass:1", probe(), ""},
		{"the protocol", open + "ip protocol udp drop; };", "pass:1", probe(), ""},
		{"the first next header", open + "ip6 nexthdr { udp, tcp, icmpv6 } drop; };", "pass:1", six(probe()), "pass:1 options or extension headers"},
		{"another's next header", drop + "ip6 nexthdr icmpv6 accept; };", "pass:policy", six(probe()), ""},
		{"an extension header", drop + "exthdr dst exists accept; };", "pass:policy", six(probe()), "pass:1 options or extension headers"},
		{"the protocol behind extension headers", open + "meta l4proto udp drop; };", "pass:1", six(probe()), ""},
		{"a hop limit", open + "ip6 hoplimit 63 drop; };", "pass:1", six(probe()), "pass:1 the TTL"},
		{"a traffic class", open + "ip6 dscp 0 drop; };", "pass:1", six(probe()), "pass:1 the traffic class (DSCP, ECN)"},
		{"its low half", open + "ip6 ecn 0 drop; };", "pass:1", six(probe()), "pass:1 the traffic class (DSCP, ECN)"},
		{"a flow label", open + "ip6 flowlabel != 0 drop; };", "pass:1", six(probe()), "pass:1 the flow label"},
		{"a class and a label", open + "@nh,4,28 != 0 drop; };", "pass:1", six(probe()), "pass:1 the traffic class (DSCP, ECN) and the flow label"},
		{"content", open + "@th,64,16 0x1234 drop; };", "pass:1", probe(), "pass:1 what is said (the payload)"},
		{"fragments are let by", drop + "ip frag-off & 0x1fff != 0 accept; };", "pass:policy", probe(), "pass:1 the bits about fragments"},
		{"fragments are dropped", open + "ip frag-off & 0x1fff != 0 drop; udp dport 53 drop; };", "pass:2", probe(), ""},
		{"a mark by the class", "chain pre { type filter hook prerouting priority -150; ip dscp 8 meta mark set 1; }; " + drop + "meta mark 1 accept; };", "pre:policy pass:policy", probe(), "pre:1 the traffic class (DSCP, ECN)"},
		{"a mark that is the class", "chain pre { type filter hook prerouting priority -150; meta mark set ip dscp map { cs0 : 0, cs1 : 1 }; }; " + open + "meta mark 0 drop; };", "pre:1 pre:policy pass:1", probe(), "pre:1 the traffic class (DSCP, ECN)"},
		{"DNAT by source port", "chain nat { type nat hook prerouting priority -100; udp sport 53 dnat ip to 10.0.0.1; }; " + drop + "};", "nat:policy pass:policy", probe(), "nat:1 the source port"},
		{"an address", open + "ip saddr 10.0.0.0/8 ip daddr 10.0.0.0/8 drop; };", "pass:1", probe(), ""},
		{"another user", out + "policy drop; meta skuid 1000 accept; };", "out:policy", probe(own), "out:1 the user that sends"},
		{"another group", out + "policy drop; meta skgid 1000 accept; };", "out:policy", probe(own), "out:1 the user that sends"},
		{"a control group", out + "policy drop; meta cgroup 7 accept; };", "out:policy", probe(own), "out:1 the user that sends"},
		{"root that is dropped anyhow", out + "policy drop; meta skuid 0 drop; };", "out:1", probe(own), ""},
		{"a priority", out + "policy drop; meta priority 0:6 accept; };", "out:policy", probe(own), "out:1 the socket's priority"},
		{"a user elsewhere", drop + "meta skuid 1000 accept; };", "pass:policy", probe(), ""},
		{"an identifier of ICMP", drop + "icmp id 7 accept; };", "pass:policy", ping(), "pass:1 the ICMP identifier or sequence number"},
		{"ICMP's type", open + "icmp type echo-request drop; };", "pass:1", ping(), ""},
		{"a TCP option", open + "tcp option timestamp exists drop; };", "pass:1", tcp(443), "pass:1 options or extension headers"},
		{"a window", open + "tcp window > 10000 drop; };", "pass:1", tcp(443), "pass:1 the TCP window"},
		{"a TCP header's length", open + "tcp doff > 5 drop; };", "pass:1", tcp(443), "pass:1 options or extension headers"},
		{"a SYN", open + "tcp flags & (fin|syn|rst|ack) == syn drop; };", "pass:1", with(tcp(443), func(p *rules.Packet) { p.Flags = new(uint8(2)) }), ""},
	} {
		if err := node.Nft("flush ruleset; table inet t { " + c.text + " }"); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		set := read(t, node)
		var got []string
		for _, choice := range rules.Prepare(set).Choosing(c.packet, steps(t, set, c.steps)) {
			rule := choice.Rule.(*inspect.Rule)
			got = append(got, fmt.Sprintf("%s:%d %s", rule.Chain.Name, rule.Position, choice.Traits))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Of each way that rules tell source ports apart there is one, and no more.
func TestPorts(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, c := range []struct {
		rule, steps string
		want        []uint16
	}{
		{"udp sport 32768-46000 drop", "pass:1", []uint16{40001, 32767}},
		{"udp sport > 39000 drop", "pass:1", []uint16{40001, 39000}},
		{"udp sport & 3 == 1 drop", "pass:1", []uint16{40001, 33000}},
		{"udp sport & 0xff00 == 0x3500 accept; drop", "pass:2", []uint16{40001, 0x3500}},
		{"udp sport 53 accept; udp sport { 99, 1024-50000 } accept; drop", "pass:3", []uint16{40001, 53, 1023}},
		{"udp sport vmap { 53 : accept, 67 : drop, 40000-50000 : drop }", "pass:1", []uint16{40001, 53, 39999}},
	} {
		if err := node.Nft("flush ruleset; table inet t { chain pass { type filter hook forward priority 0; " + c.rule + "; }; }"); err != nil {
			t.Fatal(err)
		}
		set := read(t, node)
		found := rules.Prepare(set).Choosing(probe(), steps(t, set, c.steps))
		if got := rules.Ports(found, 40001); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.rule, got, c.want)
		}
		for _, choice := range found {
			if choice.Told([]uint16{40001}) || !choice.Told(c.want) {
				t.Errorf("%s: told %v by one port, %v by all", choice, choice.Told([]uint16{40001}), choice.Told(c.want))
			}
		}
	}
}

// Of iptables-legacy nobody tells which rules a packet met: each counts that may have
// decided, and a rule that only drops does where it is the one that ended the packet.
func TestChoosingLegacy(t *testing.T) {
	t.Parallel()
	tables, err := inspect.ParseLegacy("iptables-legacy", `*filter
:FORWARD DROP [0:0]
-A FORWARD -p udp -m udp --sport 53 -j ACCEPT
-A FORWARD -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A FORWARD -m ttl --ttl-gt 64 -j DROP
-A FORWARD -p udp -m length --length 40:1500 -j DROP
-A FORWARD -m tos --tos 0x10 -j ACCEPT
COMMIT
`)
	if err != nil {
		t.Fatal(err)
	}
	for by, want := range map[int]string{
		0: "[rule 1 of iptables-legacy filter FORWARD decides by the source port rule 5 of iptables-legacy filter FORWARD decides by the traffic class (DSCP, ECN)]",
		4: "[rule 1 of iptables-legacy filter FORWARD decides by the source port rule 4 of iptables-legacy filter FORWARD decides by the packet's length]",
	} {
		got := rules.ChoosingLegacy(&inspect.Ruleset{Legacy: tables}, probe(), func(r *inspect.LegacyRule) (is, behind bool) {
			return r.Number == by, by != 0 && r.Number > by
		})
		if fmt.Sprint(got) != want {
			t.Errorf("ended by rule %d: %v, want %s", by, got, want)
		}
	}
	got := rules.ChoosingLegacy(&inspect.Ruleset{Legacy: tables}, probe(), func(r *inspect.LegacyRule) (is, behind bool) { return false, r.Number > 1 })
	if ports := rules.Ports(got, 40001); !reflect.DeepEqual(ports, []uint16{40001, 53}) {
		t.Errorf("asked from %v", ports)
	}
}
