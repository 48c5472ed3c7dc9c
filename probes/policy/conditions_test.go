package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
)

// What is asked of hops, of what the node takes an address for, and of connections is sent where it can be; of the rest
// it is told what that needs.
func TestCoverOfConditions(t *testing.T) {
	t.Parallel()
	report := coveredOffice(t, `
table ip filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		ip ttl 254 counter
		ip ttl 255 counter
		fib saddr type unicast counter
		fib saddr type anycast counter
		fib daddr type broadcast counter
		ct original ip saddr 10.0.1.0/24 counter
		ct mark 7 counter
		ct status dnat counter
		ip option rr exists counter
		ct state invalid,related accept
		icmp type destination-unreachable accept
	}
	chain input {
		type filter hook input priority 0; policy accept;
		ip ttl 255 counter
		fib daddr type multicast counter
		fib daddr type { local, broadcast } counter
		fib daddr type != { local, broadcast, multicast } counter
		limit rate 1/hour burst 1 packets ip saddr 10.0.1.1 counter
		meta skuid 4711 drop
	}
}
table ip6 filter {
	chain input {
		type filter hook input priority 0; policy accept;
		ip6 saddr fe80::/10 icmpv6 type mld-listener-query ip6 hoplimit 1 ct state untracked accept
		icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 ct state new accept
		icmpv6 type nd-neighbor-solicit ip6 hoplimit 255 accept
		ip6 daddr ff02::1 counter
		rt type 0 counter drop
	}
}`)
	const otherwise = "packets that meet it in another state: it depends on "
	wantFates(t, report,
		"forward 1 matched", "forward 2 unreachable: the kernel hands no packet with such addresses or interfaces to the hook forward",
		"forward 3 matched", "forward 4 unreachable: no packet has all that it asks for",
		"forward 5 needs: routes, addresses or interfaces that this lab has not: it sends no such packet through forward",
		"forward 6 matched",
		"forward 7 needs: a connection of which more is so than that there is one (ct mark)",
		"forward 8 needs: a connection of which more is so than that there is one (ct status)",
		"forward 9 needs: a packet with an option or extension header, which none that is sent has (exthdr)",
		"forward 10 redundant",
		"forward 11 shadowed: rule 10 of ip filter forward (ct state invalid,related accept)",
		"forward 0 decided",
		"input 1 matched", "input 2 matched", "input 3 matched",
		"input 4 needs: routes, addresses or interfaces that this lab has not: it sends no such packet through input",
		"input 5 matched", "input 6 needs: "+otherwise+"the user that sent it", "input 0 decided",
		"input 1 decided", "input 2 unreachable: no packet has all that it asks for", "input 3 decided", "input 4 matched",
		"input 5 needs: a packet with an option or extension header, which none that is sent has (exthdr)", "input 0 decided",
	)
}

// The same in iptables' words.
func TestCoverOfExtensions(t *testing.T) {
	harness.Require(t, harness.IptablesTool)
	t.Parallel()
	lab := harness.Up(t, office(""))
	fw := lab.Node("fw")
	if err := fw.Iptables(`*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:late - [0:0]
-A INPUT -m addrtype --dst-type LOCAL
-A INPUT -m addrtype --dst-type MULTICAST,BROADCAST
-A INPUT -m addrtype ! --dst-type LOCAL -j DROP
-A INPUT -m addrtype --dst-type ANYCAST -j DROP
-A INPUT -m ttl --ttl-eq 255 -j DROP
-A INPUT -m ttl --ttl-lt 2 -j DROP
-A INPUT -m ttl --ttl-gt 1 -m ttl --ttl-lt 255 -j ACCEPT
-A INPUT -j ACCEPT
-A FORWARD -m recent --name many --rcheck --hitcount 3 -j late
-A FORWARD -p icmp -m icmp ! --icmp-type echo-request -j ACCEPT
-A FORWARD -m mark ! --mark 0 -j ACCEPT
-A FORWARD -p udp -m multiport --ports 53,1000:2000 -j ACCEPT
-A FORWARD -p udp --dport 1500 -j ACCEPT
-A late -j ACCEPT
COMMIT
`); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range covered(t, lab).Rules {
		got = append(got, fmt.Sprintf("%s %d %s", r.Chain, r.Position, r.Fate))
	}
	want := []string{
		"INPUT 1 matched", "INPUT 2 matched", "INPUT 3 decided", "INPUT 4 unreachable",
		"INPUT 5 decided", "INPUT 6 decided", "INPUT 7 redundant", "INPUT 8 shadowed", "INPUT 0 shadowed",
		"FORWARD 1 needs", "FORWARD 2 decided", "FORWARD 3 needs", "FORWARD 4 decided", "FORWARD 5 shadowed", "FORWARD 0 decided", "late 1 needs",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwanted: %q", got, want)
	}
}
