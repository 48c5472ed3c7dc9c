package probes_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/onsi/gomega"
)

// A plain service by UDP behind a forwarder that changes the ports is who answers, from the
// first probe on.
func TestPlainDatagramsThroughChangedPorts(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for name, post := range map[string]string{"one": "", "both": `oifname "dmz" masquerade random;`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, office(`table ip nat {
				chain pre { type nat hook prerouting priority -100; ip daddr 10.0.1.2 udp dport 123 dnat to 10.0.2.1:1123; }
				chain post { type nat hook postrouting priority 100; `+post+` }
			}`))
			client, fw := lab.Node("client"), lab.Node("fw")
			answerBy(t, lab.Node("server"), 1123, func(string) []string { return []string{"hello"} })
			to := fw.On("lan").Addrs()[0]
			p := probes.UDP(123).Within(long)
			g := gomega.NewWithT(t)
			if name == "one" { // whoever asks first
				g.Expect(probes.Grid{From: []*harness.Node{client}, To: []probes.Target{fw.On("lan")}, Probes: []probes.Probe{p}, Watch: true}.Survey(t.Context())).
					To(probes.MatchMatrix("       fw/lan\nclient wrong@server,refused\n"))
			}
			g.Expect(client).To(probes.Reach(to, p).AnsweredBy("server"))
			said := failures(func(g gomega.Gomega) { g.Expect(client).To(probes.Reach(to, p)) })
			g.Expect(said).To(gomega.ConsistOf(gomega.ContainSubstring("10.0.1.2 was answered by server, not by fw")))
		})
	}
}

// forwarding leads a port of fw to another one of the server, over both families.
const forwarding = `table inet nat { chain pre { type nat hook prerouting priority -100;
	ip daddr 10.0.1.2 udp dport 123 dnat ip to 10.0.2.1:1123; ip6 daddr fd00:1::2 udp dport 123 dnat ip6 to [fd00:2::1]:1123;
}; }
`

// Who answers a probe that began before all ports were heard is known as well, where another has
// them heard meanwhile.
func TestPlainDatagramsThroughChangedPortsAtOnce(t *testing.T) {
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(forwarding))
	answerBy(t, lab.Node("server"), 1123, func(string) []string { return []string{"hello"} })
	result, err := probes.Watch(t.Context(), lab.Node("client"), lab.Node("fw").On("lan"), probes.UDP(123).Within(long))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range each(result) {
		if r.Outcome != probes.Answered || r.By != "server" || !r.Proven {
			t.Errorf("%s\n%s", r, r.Timeline)
		}
	}
}

// An answer that goes by ports which nobody asked for is followed to its end.
func TestUnansweredThroughChangedPorts(t *testing.T) {
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(forwarding+`table inet filter { chain raw { type filter hook prerouting priority -400;
		iifname "dmz" meta l4proto udp drop comment "no answers"
	}; }`))
	read := answerBy(t, lab.Node("server"), 1123, func(string) []string { return []string{"hello"} })
	result, err := probes.Watch(t.Context(), lab.Node("client"), lab.Node("fw").On("lan"), probes.UDP(123))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range each(result) {
		if c := r.Cause; c == nil || c.Kind != evidence.Drop || c.Node != "fw" || c.Leg != evidence.Answer || !c.Rule.Is("no answers") {
			t.Errorf("%s\n%s", r.GomegaString(), r.Timeline)
		}
	}
	if len(read) < 2 {
		t.Errorf("%d datagrams came, of one over each family", len(read))
	}
}
