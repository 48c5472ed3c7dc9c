package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
)

// policyOf is what the rules of a lab's firewall do.
func policyOf(t *testing.T, network *topo.Network, options ...policy.Option) policy.Policy {
	t.Helper()
	harness.Require(t, harness.NftTool)
	p, err := policy.Of(t.Context(), harness.Up(t, network), "fw", options...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func wantPolicy(t *testing.T, p policy.Policy, text string) {
	t.Helper()
	NewWithT(t).Expect(p).To(policy.MatchPolicy(text))
}

// Each class is told by its rule, and has a packet with which the kernel has shown it.
func TestOf(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table inet filter {
	chain guests { udp dport 53 reject comment "no names" ; ip daddr 10.0.2.200 return; meta l4proto { tcp, udp } accept; }
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept comment "answers"
		ct state invalid drop comment "nonsense"
		iifname "lan" tcp dport 22 drop comment "no ssh"
		iifname "lan" tcp dport 20-25 accept comment "files and mail"
		iifname "lan" ip daddr 10.0.2.0/25 tcp dport { 80, 443 } accept comment "web"
		iifname "lan" ip6 daddr fd00:2::/64 tcp dport { 80, 443 } accept comment "web6"
		iifname "dmz" ip saddr 10.0.2.128/25 jump guests
		icmp type { echo-request, 13 } accept comment "ping"
		meta nfproto ipv6 meta l4proto 47 accept comment "tunnels"
	}
	chain input {
		type filter hook input priority 0; policy accept;
		iifname != "lan" tcp flags & (syn | ack) == syn drop comment "closed"
	}
}`))
	wantPolicy(t, p, `
		lan -> lan:
			established, related: accepted by "answers"
			gre in IPv6: accepted by "tunnels"
			icmp echo-request, timestamp-request: accepted by "ping"
			invalid: dropped by "nonsense"
			tcp 20-21, 23-25: accepted by "files and mail"
			tcp 22: dropped by "no ssh"
			all else: dropped by policy drop of inet filter forward
		lan -> dmz:
			established, related: accepted by "answers"
			gre in IPv6: accepted by "tunnels"
			icmp echo-request, timestamp-request: accepted by "ping"
			invalid: dropped by "nonsense"
			tcp 20-21, 23-25: accepted by "files and mail"
			tcp 22: dropped by "no ssh"
			tcp 80, 443 in IPv6: accepted by "web6"
			tcp 80, 443 to 10.0.2.0/25: accepted by "web"
			all else: dropped by policy drop of inet filter forward
		lan -> fw:
			all: accepted by policy accept of inet filter input
		dmz -> lan:
			established, related: accepted by "answers"
			gre in IPv6: accepted by "tunnels"
			icmp echo-request, timestamp-request: accepted by "ping"
			invalid: dropped by "nonsense"
			tcp from 10.0.2.128/25: accepted by rule (meta l4proto { tcp, udp } accept)
			udp all but 53 from 10.0.2.128/25: accepted by rule (meta l4proto { tcp, udp } accept)
			udp 53 from 10.0.2.128/25: rejected by "no names"
			all else: dropped by policy drop of inet filter forward
		dmz -> dmz:
			tcp from 10.0.2.128/25 to all but 10.0.2.200: accepted by rule (meta l4proto { tcp, udp } accept)
			udp all but 53 from 10.0.2.128/25 to all but 10.0.2.200: accepted by rule (meta l4proto { tcp, udp } accept)
			udp 53 from 10.0.2.128/25: rejected by "no names"
			...
		dmz -> fw:
			tcp with flags SYN,!ACK: dropped by "closed"
			all else: accepted by policy accept of inet filter input
		fw -> ...:
			all: accepted, no rule asked
		fw -> fw:
			tcp with flags SYN,!ACK: dropped by "closed"
			all else: accepted by policy accept of inet filter input
	`)
	for _, f := range p.Flows {
		for _, c := range f.Classes {
			for _, part := range c.Parts {
				if len(part.Witness) == 0 {
					t.Errorf("%s -> %s: %s: nothing was sent: %s", f.From, f.To, part.Text, part.Untried)
				}
			}
		}
	}
}

// Who has a zone is told apart where routes lead to him: who claims to be him behind another interface is of that one.
func TestOfZones(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ip saddr 10.0.1.0/28 tcp dport 22 accept comment "admins"
		ip saddr 10.0.1.0/24 tcp dport 443 accept comment "staff"
	}
}`), policy.Zone("mgmt", "10.0.1.0/28"), policy.Zone("store", "10.0.2.7", "10.0.1.9"))
	wantPolicy(t, p, `
		mgmt -> store:
			tcp 22: accepted by "admins"
			tcp 443: accepted by "staff"
			all else: dropped by policy drop of inet filter forward
		lan -> store, mgmt:
			tcp 443 from 10.0.1.0/24: accepted by "staff"
			...
		store -> store, dmz, mgmt:
			all: dropped by policy drop of inet filter forward
		dmz -> store, dmz:
			# somebody else says that he is an admin
			tcp 22 from 10.0.1.0/28: accepted by "admins"
			tcp 443 from 10.0.1.0/24: accepted by "staff"
			all else: dropped by policy drop of inet filter forward
		... -> ...:
			...
	`)
}

// What rules translate is told with where to, and what becomes of it there.
func TestOfNAT(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table ip nat {
	chain in {
		type nat hook prerouting priority -100;
		iifname "dmz" tcp dport 8080 dnat to 10.0.1.1:80 comment "inwards"
		iifname "dmz" tcp dport 2222 dnat to 10.0.1.1:22
		iifname "dmz" udp dport 53 redirect to :5353 comment "names"
	}
	chain out {
		type nat hook postrouting priority 100;
		oifname "dmz" masquerade comment "hidden"
	}
}
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		ct state established,related accept comment "answers"
		iifname "lan" accept comment "out"
		iifname "dmz" ip daddr 10.0.1.1 tcp dport 80 accept comment "web"
	}
	chain input {
		type filter hook input priority 0; policy drop;
		udp dport 5353 accept comment "resolver"
		ct state established,related accept comment "own answers"
	}
}`))
	wantPolicy(t, p, `
		lan -> lan:
			established, related: accepted by "answers"
			all else: accepted by "out"
		lan -> dmz:
			all new in IPv4: accepted by "out", its source translated by "hidden"
			established, related: accepted by "answers"
			all else: accepted by "out"
		dmz -> lan:
			established, related: accepted by "answers"
			tcp 80 to 10.0.1.1: accepted by "web"
			tcp 2222 in IPv4: translated to 10.0.1.1:22 by rule (iifname "dmz" tcp dport 2222 dnat to 10.0.1.1:22), dropped by policy drop of inet filter forward
			tcp 8080 in IPv4: translated to 10.0.1.1:80 by "inwards", accepted by "web"
			udp 53 in IPv4: translated to port 5353 of the node by "names", accepted by "resolver"
			all else: dropped by policy drop of inet filter forward
		dmz -> fw:
			tcp 8080 in IPv4: translated to 10.0.1.1:80 by "inwards", accepted by "web"
			all else: dropped by policy drop of inet filter input
			...
		fw -> dmz:
			all new in IPv4: accepted, no rule asked, its source translated by "hidden"
			all else: accepted, no rule asked
		... -> ...:
			...
	`)
}

// Rules that are called alike are told as one, and each is named.
func TestOfRulesThatAreCalledAlike(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "lan" ip daddr 10.0.2.0/25 tcp dport 80 accept comment "web"
		iifname "lan" ip6 daddr fd00:2::/64 tcp dport 80 accept comment "web"
		iifname "lan" tcp dport 443 accept comment "web"
	}
}`))
	for _, f := range p.Flows {
		if f.From != "lan" || f.To != "dmz" {
			continue
		}
		at := slices.IndexFunc(f.Classes, func(c policy.Class) bool { return c.Text == `accepted by "web"` })
		NewWithT(t).Expect(f.Classes[at].By).To(ConsistOf(HavePrefix("rule 1 of"), HavePrefix("rule 2 of"), HavePrefix("rule 3 of")))
	}
	wantPolicy(t, p, `
		lan -> dmz:
			tcp 80 to 10.0.2.0/25: accepted by "web"
			tcp 80, 443 in IPv6: accepted by "web"
			tcp 443 in IPv4: accepted by "web"
			all else: dropped by policy drop of inet filter forward
		... -> ...:
			...
	`)
}

// Where it depends on what one packet cannot show, all that may be is told.
func TestOfUnsure(t *testing.T) {
	t.Parallel()
	p := policyOf(t, office(`
table inet filter {
	chain forward {
		type filter hook forward priority 0; policy drop;
		iifname "lan" icmp type echo-request limit rate 1/hour burst 1 packets accept comment "slow"
		iifname "lan" meta skuid 0 tcp dport 80 accept comment "root"
		iifname "lan" limit rate 1/second log
		iifname "lan" tcp dport 81 limit rate 10/second drop comment "many"
	}
}`))
	wantPolicy(t, p, `
		lan -> lan, dmz:
			icmp echo-request: accepted by "slow", or dropped by policy drop of inet filter forward
			tcp 80: accepted by "root", or dropped by policy drop of inet filter forward
			tcp 81: dropped by "many" or by policy drop of inet filter forward
			all else: dropped by policy drop of inet filter forward
		dmz -> lan, dmz:
			all: dropped by policy drop of inet filter forward
		... -> ...:
			all: accepted, no rule asked
	`)
	endings := map[policy.Ending]string{}
	for _, c := range p.Flows[0].Classes {
		endings[c.Ending] += c.Why
	}
	NewWithT(t).Expect(endings).To(And(HaveLen(2), HaveKeyWithValue(policy.Unsure, ContainSubstring("rule 1 of inet filter forward"))), "%v", endings)
}

// Of what there is nothing to tell, or cannot be, it says so.
func TestOfSaysWhatItCannot(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table bridge b { chain forward { type filter hook forward priority 0; }; }"))
	for want, options := range map[string][]policy.Option{
		`zone mgmt: "10.0.1" is no address and no prefix: write it like 10.0.1.0/28`:                 {policy.Zone("mgmt", "10.0.1")},
		`zone "" has no name: give it one`:                                                           {policy.Zone("", "10.0.1.7")},
		`zone lan: there is another zone, an interface or the node of this name: call it otherwise`:  {policy.Zone("lan", "10.0.1.7")},
		`zone mgmt has no addresses: name at least one prefix`:                                       {policy.Zone("mgmt")},
		`zone mgmt: there is another zone, an interface or the node of this name: call it otherwise`: {policy.Zone("mgmt", "10.0.1.7"), policy.Zone("mgmt", "10.0.1.8")},
	} {
		if _, err := policy.Of(t.Context(), lab, "fw", options...); err == nil || err.Error() != "policy of node fw: "+want {
			t.Errorf("the error is %v, and not %s", err, want)
		}
	}
	if _, err := policy.Of(t.Context(), nil, "fw"); err == nil || err.Error() != "policy of node fw: the lab is nil: pass what harness.Up returns" {
		t.Error(err)
	}
	if _, err := policy.Of(t.Context(), lab, "wf"); err == nil || err.Error() != "policy of node wf: lab office has no such node" {
		t.Errorf("the error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := policy.Of(ctx, lab, "fw"); !errors.Is(err, context.Canceled) {
		t.Errorf("the error of a context that is over is %v", err)
	}
	p, err := policy.Of(t.Context(), lab, "fw", policy.Zone("nobody", "192.0.2.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	wantPolicy(t, p, `
		... -> ...:
			all: accepted, no rule asked
		not told: rules of family bridge
		not told: zone nobody: none of its addresses is behind an interface where somebody can send in
	`)
	if strings.Contains(p.String(), "nobody ->") {
		t.Error(p)
	}
}

// Rules of iptables-legacy are noted, as they are not followed.
func TestOfNotesLegacy(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Tool("iptables-legacy"))
	lab := harness.Up(t, office(""))
	if err := lab.Node("fw").Iptables("*filter\n-A FORWARD -p tcp --dport 22 -j DROP\nCOMMIT\n", topo.Legacy); err != nil {
		t.Fatal(err)
	}
	if p, err := policy.Of(t.Context(), lab, "fw"); err != nil || !slices.Contains(p.Notes, "rules of iptables-legacy") {
		t.Errorf("%v %q", err, p.Notes)
	}
}
