package rules_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// real is a ruleset as a program writes it.
type real struct {
	program       string
	nft, iptables string
	names         string // some of what it names
	remembers     int    // how many of its rules do
}

var reals = []real{
	{program: "ufw", names: "udp from 67(4), udp/68(4), tcp/22(4), tcp/80(4), tcp/443(4), tcp/6000(4), [tcp/5999(4)]", remembers: 2, iptables: `*filter
:INPUT DROP [0:0]
:ufw-before-input - [0:0]
:ufw-logging-deny - [0:0]
:ufw-not-local - [0:0]
:ufw-user-input - [0:0]
:ufw-user-limit - [0:0]
:ufw-user-limit-accept - [0:0]
-A INPUT -j ufw-before-input
-A INPUT -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 3 -j ACCEPT
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT
-A ufw-before-input -j ufw-not-local
-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-logging-deny -m conntrack --ctstate INVALID -m limit --limit 3/min --limit-burst 10 -j RETURN
-A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix "[UFW BLOCK] "
-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN
-A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN
-A ufw-not-local -j DROP
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --set --name SSH
-A ufw-user-input -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 --name SSH -j ufw-user-limit
-A ufw-user-input -p tcp -m tcp --dport 22 -j ufw-user-limit-accept
-A ufw-user-input -p tcp -m multiport --dports 80,443 -j ACCEPT
-A ufw-user-input -p tcp -m multiport --dports 6000:6007 -j ACCEPT
-A ufw-user-limit -j REJECT --reject-with icmp-port-unreachable
-A ufw-user-limit-accept -j ACCEPT
COMMIT
`},
	{program: "docker", names: "tcp/8080(4), tcp/80(4)", iptables: `*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION -i docker0 ! -o docker0 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`},
	{program: "kube-proxy", names: "tcp/80(4), udp/53(4), tcp/30080(4)", remembers: 2, iptables: `*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC-WEB - [0:0]
:KUBE-SEP-A - [0:0]
:KUBE-SEP-B - [0:0]
:KUBE-SEP-C - [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -m comment --comment "service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m comment --comment "dns cluster IP" -m udp --dport 53 -j KUBE-SEP-C
-A KUBE-SERVICES -m comment --comment "nodeports" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-SVC-WEB
-A KUBE-SVC-WEB ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-A
-A KUBE-SVC-WEB -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-B
-A KUBE-SVC-WEB -j KUBE-SEP-C
-A KUBE-SEP-A -p tcp -m tcp -j DNAT --to-destination 10.244.0.5:8080
-A KUBE-SEP-B -p tcp -m tcp -j DNAT --to-destination 10.244.0.6:8080
-A KUBE-SEP-C -p tcp -m tcp -j DNAT --to-destination 10.244.0.7:8080
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A POSTROUTING -j MASQUERADE --random-fully
COMMIT
`},
	{program: "firewalld", names: "tcp/22, udp/5353(4), udp/5353(6), udp/546(6), tcp/8000, [tcp/8101]", nft: `table inet firewalld {
	chain raw_PREROUTING {
		type filter hook prerouting priority raw + 10; policy accept;
		icmpv6 type { nd-neighbor-solicit, nd-router-advert } accept
		meta nfproto ipv6 fib saddr . iif oif missing drop
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		jump filter_INPUT_ZONES
		ct state { invalid } drop
		reject with icmpx type admin-prohibited
	}
	chain filter_INPUT_ZONES {
		iifname "dmz0" goto filter_IN_dmz
		goto filter_IN_public
	}
	chain filter_IN_dmz {
		tcp dport 443 accept
		reject
	}
	chain filter_IN_public {
		jump filter_IN_public_deny
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
	}
	chain filter_IN_public_deny { ip saddr 203.0.113.0/24 drop; }
	chain filter_IN_public_allow {
		tcp dport 22 ct state { new, untracked } accept
		ip daddr 224.0.0.251 udp dport 5353 ct state { new, untracked } accept
		ip6 daddr ff02::fb udp dport 5353 ct state { new, untracked } accept
		ip6 daddr fe80::/64 udp dport 546 ct state { new, untracked } accept
		tcp dport 8000-8100 accept
	}
}
`},
	{program: "shorewall", names: "tcp/22(4), udp/53(4), tcp/53(4)", remembers: 1, iptables: `*filter
:INPUT DROP [0:0]
:net-fw - [0:0]
:dynamic - [0:0]
:logdrop - [0:0]
:reject - [0:0]
:smurfs - [0:0]
:tcpflags - [0:0]
:~log0 - [0:0]
-A INPUT -i w -j net-fw
-A INPUT -i lo -j ACCEPT
-A INPUT -g reject
-A logdrop -j DROP
-A net-fw -m conntrack --ctstate INVALID,NEW,UNTRACKED -j dynamic
-A net-fw -m conntrack --ctstate INVALID,NEW,UNTRACKED -j smurfs
-A net-fw -p tcp -j tcpflags
-A net-fw -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A net-fw -p tcp -m tcp --dport 22 -m limit --limit 10/min -j ACCEPT
-A net-fw -p udp -m multiport --dports 53 -j ACCEPT
-A net-fw -p tcp -m tcp --dport 53 -j ACCEPT
-A net-fw -m addrtype --dst-type BROADCAST -j DROP
-A net-fw -j ~log0
-A ~log0 -m hashlimit --hashlimit-upto 1/sec --hashlimit-burst 10 --hashlimit-mode srcip --hashlimit-name lograte -j LOG --log-prefix "net-fw DROP "
-A ~log0 -j DROP
-A reject -m addrtype --src-type BROADCAST -j DROP
-A reject -p tcp -j REJECT --reject-with tcp-reset
-A reject -p udp -j REJECT
-A reject -p icmp -j REJECT --reject-with icmp-host-unreachable
-A smurfs -s 0.0.0.0/32 -j RETURN
-A smurfs -m addrtype --src-type BROADCAST -g logdrop
-A tcpflags -p tcp -m tcp --tcp-flags FIN,SYN,RST,PSH,ACK,URG FIN,PSH,URG -g logdrop
-A tcpflags -p tcp -m tcp --tcp-flags SYN,RST SYN,RST -g logdrop
-A tcpflags -p tcp -m tcp --sport 0 --tcp-flags FIN,SYN,RST,ACK SYN -g logdrop
COMMIT
`},
}

// Rulesets as programs write them are read in full, and no rule that is said not to match
// counts one of many random packets.
func TestRealRulesets(t *testing.T) {
	t.Parallel()
	network := topo.New("two")
	wire := network.Wire("w", "10.0.1.0/24", "fd00:1::/64")
	network.Host("a", wire)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	c := &contest{t: t, a: lab.Node("a"), b: lab.Node("b"), random: rand.New(rand.NewPCG(rand.Uint64(), 3)), port: 10000}
	c.acquaint()
	for _, r := range reals {
		if err := r.load(c.b); err != nil {
			t.Logf("%s: not here: %v", r.program, err)
			continue
		}
		set := read(t, c.b)
		found := strings.Split(named(set), ", ")
		for name := range strings.SplitSeq(r.names, ", ") {
			if !slices.Contains(found, name) {
				t.Errorf("%s: %s is not among %s", r.program, name, found)
			}
		}
		r.inspect(t, set)
		for range 20 {
			c.shoot(r)
		}
		t.Logf("%s: %d yes, %d no, %d maybe", r.program, c.said[yes], c.said[no], c.said[maybe])
	}
}

// acquaint gives each the other's MAC for good: what they ask each other when an entry
// gets stale, after 15 s and more, is counted by rules about ICMPv6.
func (c *contest) acquaint() {
	for node, other := range map[*harness.Node]*harness.Node{c.a: c.b, c.b: c.a} {
		link, err := other.Netlink().LinkByName("w")
		if err != nil {
			c.t.Fatal(err)
		}
		for _, addr := range []netip.Addr{other.Addr(), c.addr6(other)} {
			if err := node.AddNeighbour("w", addr, link.Attrs().HardwareAddr); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

func (r real) load(node *harness.Node) error {
	const judge = "table inet judge {\nchain comes {\ntype filter hook prerouting priority -500;\n" + quiet + "counter\n}\n}\n"
	counting := strings.NewReplacer("accept\n", "counter accept\n", "drop\n", "counter drop\n").Replace(r.nft)
	counting = strings.NewReplacer("policy counter accept", "policy accept", "\tgoto", "\tcounter goto").Replace(counting)
	if err := node.Nft("flush ruleset\n" + counting + judge); err != nil || r.iptables == "" {
		return err
	}
	return node.Iptables(r.iptables)
}

// inspect looks at each rule.
func (r real) inspect(t *testing.T, set *inspect.Ruleset) {
	remembers := 0
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				for _, e := range rule.Exprs {
					if opaque, ok := e.(*inspect.Opaque); ok {
						t.Errorf("%s: %s has an expression that is not known: %s", r.program, rule, opaque.Name)
					}
				}
				if memory, ok := rules.Remembers(rule); ok {
					remembers++
					t.Logf("%s: %s", r.program, memory)
				}
			}
		}
	}
	if remembers != r.remembers {
		t.Errorf("%s: %d rules remember, want %d", r.program, remembers, r.remembers)
	}
}

// shoot sends a packet that may be dropped, and looks at who has counted it.
func (c *contest) shoot(r real) {
	s := c.shot()
	before := map[string]uint64{}
	first := read(c.t, c.b)
	each(first, func(rule *inspect.Rule) { before[rule.String()] = counted(rule) })
	c.launch(s)
	each(read(c.t, c.b), func(rule *inspect.Rule) {
		p := s.at(rule.Chain.Hook)
		p.Hook = "input"
		if chain := rule.Chain.Table.Name; chain == "nat" || strings.HasPrefix(rule.Chain.Name, "raw") {
			p.Hook = "prerouting"
		}
		said := rules.Match(rule, p)
		c.said[said]++
		if count := counted(rule) - before[rule.String()]; said == no && count != 0 {
			c.t.Errorf("%s: %s: said %s, counted %d of\n%s\n%s", r.program, rule, said, count, s, exprs(rule))
		}
	})
}

func each(set *inspect.Ruleset, f func(*inspect.Rule)) {
	for _, table := range set.Tables {
		for _, chain := range table.Chains {
			for _, rule := range chain.Rules {
				f(rule)
			}
		}
	}
}

// launch sends it and waits until it has come.
func (c *contest) launch(s *shot) {
	fd := c.socket(s)
	defer func() { _ = unix.Close(fd) }()
	came := func() uint64 { return counted(read(c.t, c.b).Chain("inet", "judge", "comes").Rules[1]) }
	before := came()
	if err := errors.Join(unix.SetNonblock(fd, true), s.write(fd)); err != nil {
		c.t.Fatalf("send %s: %v", s, err)
	}
	for deadline := time.Now().Add(5 * time.Second); came() == before; {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s did not come", s)
		}
	}
}
