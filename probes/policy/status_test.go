package policy_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
)

// Whether a connection's destination was translated is known of its first packet: not where it had that destination already.
func TestOfStatus(t *testing.T) {
	t.Parallel()
	const rules = `
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept comment "answers"
		tcp option maxseg exists tcp flags syn tcp option maxseg size set rt mtu
		ct status dnat accept comment "published"
		ct status snat drop comment "never yet"
	}
}`
	want := `
		dmz -> lan:
			established, related in IPv4: accepted by "answers"
			established, related in IPv6: ...
			tcp 22 to all but 10.0.1.1: translated to 10.0.1.1 by "ssh", accepted by "published"
			tcp 22 to 10.0.1.1: translated to 10.0.1.1 by "ssh", dropped by policy drop of inet filter forward
			tcp 8080 in IPv4: translated to 10.0.1.1:80 by "web", accepted by "published"
			all else: dropped by policy drop of inet filter forward
		... -> ...:
			...
	`
	wantPolicy(t, policyOf(t, office(rules+nat)), want)
}

const nat = `
table ip nat {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		iifname "dmz" tcp dport 8080 dnat to 10.0.1.1:80 comment "web"
		iifname "dmz" tcp dport 22 dnat to 10.0.1.1 comment "ssh"
	}
}`

// iptables asks for it as if it were a state.
func TestOfStatusOfIptables(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.IptablesTool)
	network := office(nat)
	network.Node("fw").Iptables(`*filter
:FORWARD DROP [0:0]
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -m comment --comment published -j ACCEPT
-A FORWARD -m conntrack --ctstate SNAT,UNTRACKED -m comment --comment never -j ACCEPT
COMMIT
`)
	p, err := policy.Of(t.Context(), harness.Up(t, network), "fw")
	if err != nil {
		t.Fatal(err)
	}
	wantPolicy(t, p, `
		dmz -> lan:
			established, related in IPv4: accepted by "published"
			tcp 22 to all but 10.0.1.1: translated to 10.0.1.1 by "ssh", accepted by "published"
			tcp 22 to 10.0.1.1: translated to 10.0.1.1 by "ssh", dropped by policy drop of ip filter FORWARD
			tcp 8080 in IPv4: translated to 10.0.1.1:80 by "web", accepted by "published"
			all else in IPv4: dropped by policy drop of ip filter FORWARD
			all in IPv6: accepted, no rule asked
		... -> ...:
			...
	`)
}
