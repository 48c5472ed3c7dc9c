package firewalls_test

// Ferm writes what it would hand to iptables-restore.
var ferm = &generator{
	name: "ferm", unpacked: "ferm",
	script: `
cat >ferm.conf <<'END'
domain (ip ip6) table filter {
	chain INPUT {
		policy DROP;
		mod conntrack ctstate INVALID DROP;
		mod conntrack ctstate (ESTABLISHED RELATED) ACCEPT;
		interface lo ACCEPT;
		@if @eq($DOMAIN, ip6) {
			proto ipv6-icmp icmpv6-type (neighbour-solicitation neighbour-advertisement router-solicitation router-advertisement) ACCEPT;
		}
		interface lan {
			@if @eq($DOMAIN, ip) proto icmp icmp-type echo-request ACCEPT;
			@else proto ipv6-icmp icmpv6-type echo-request ACCEPT;
			proto tcp dport 22 mod comment comment "ssh from the lan" mod limit limit 3/minute limit-burst 5 ACCEPT;
			proto tcp dport (80 443) ACCEPT;
		}
		mod limit limit 3/minute LOG log-prefix "input: ";
	}
	chain OUTPUT policy ACCEPT;
	chain FORWARD {
		policy DROP;
		mod conntrack ctstate INVALID DROP;
		mod conntrack ctstate (ESTABLISHED RELATED) ACCEPT;
		interface lan outerface wan @subchain "out" {
			proto tcp dport 25 mod comment comment "no mail" REJECT;
			ACCEPT;
		}
		mod limit limit 3/minute LOG log-prefix "forward: ";
	}
}
domain ip table nat chain POSTROUTING saddr 10.0.1.0/24 outerface wan MASQUERADE;
END
perl "$ROOT/usr/sbin/ferm" --noexec --lines --domain ip ferm.conf >rules.ip4
perl "$ROOT/usr/sbin/ferm" --noexec --lines --domain ip6 ferm.conf >rules.ip6
`,
	asked: ruleset{
		ip4: `
:INPUT DROP
:FORWARD DROP
-A INPUT -i lan -p tcp -m tcp --dport 22 -m comment --comment "ssh from the lan" -m limit --limit 3/min -j ACCEPT
-A INPUT -i lan -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -i lan -o wan -j out
-A out -p tcp -m tcp --dport 25 -m comment --comment "no mail" -j REJECT
-A out -j ACCEPT
-A POSTROUTING -s 10.0.1.0/24 -o wan -j MASQUERADE
`,
		ip6: `
:INPUT DROP
:FORWARD DROP
-A INPUT -i lan -p tcp -m tcp --dport 22 -m comment --comment "ssh from the lan" -m limit --limit 3/min -j ACCEPT
-A INPUT -i lan -p tcp -m tcp --dport 80 -j ACCEPT
-A FORWARD -i lan -o wan -j out
-A out -p tcp -m tcp --dport 25 -m comment --comment "no mail" -j REJECT
-A out -j ACCEPT
`,
	},
	matrix: `
	      pc       desk     fw          site  cafe
	pc    .        ok       ok,drop@fw  ok    ok
	desk  ok       .        ok,drop@fw  ok    ok
	fw    ok       ok       .           ok    ok
	site  drop@fw  drop@fw  drop@fw     .     ok
	cafe  drop@fw  drop@fw  drop@fw     ok    .
`,
	stops: `
pc fw udp/53 drop@fw policy of ip filter INPUT
pc fw udp/53 drop@fw policy of ip6 filter INPUT
site fw icmp drop@fw policy of ip filter INPUT
site fw icmp drop@fw policy of ip6 filter INPUT
site fw tcp/80 drop@fw policy of ip filter INPUT
site fw tcp/80 drop@fw policy of ip6 filter INPUT
site fw udp/53 drop@fw policy of ip filter INPUT
site fw udp/53 drop@fw policy of ip6 filter INPUT
site pc icmp drop@fw policy of ip filter FORWARD
site pc icmp drop@fw policy of ip6 filter FORWARD
site pc tcp/80 drop@fw policy of ip filter FORWARD
site pc tcp/80 drop@fw policy of ip6 filter FORWARD
site pc udp/53 drop@fw policy of ip filter FORWARD
site pc udp/53 drop@fw policy of ip6 filter FORWARD
`,
}
