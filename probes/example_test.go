package probes_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	. "github.com/onsi/gomega"
)

// given is what a test has: its T and the T's context, and the lab of its network,
// as harness.Up(t, network) makes it.
func given() (t *testing.T, ctx context.Context, lab *harness.Lab) { return }

// One question, without any framework.
func ExampleAsk() {
	_, ctx, lab := given()
	client, server := lab.Node("client"), lab.Node("server")
	result, err := probes.Ask(ctx, client, server, probes.TCP(22).Within(200*time.Millisecond))
	if err != nil {
		log.Fatal(err) // it could not be asked
	}
	switch result.Outcome {
	case probes.Answered:
		fmt.Println("answered by", result.By, "in", result.RTT)
	case probes.Refused:
		fmt.Println("nobody listens at", result.By)
	case probes.Rejected:
		fmt.Println(result.By, "says no:", result) // client -> server (10.0.2.1) tcp/22: rejected by fw ...
	case probes.Silent, probes.Unsent:
		fmt.Println(result)
	}
	for _, r := range result.Each { // the server has an IPv4 and an IPv6 address
		fmt.Println(r.Addr, r.Outcome)
	}
}

// A target is a node, a node's addresses on one segment, or an address.
func ExampleAsk_targets() {
	_, ctx, lab := given()
	client, fw := lab.Node("client"), lab.Node("fw")
	for _, target := range []probes.Target{fw, fw.On("dmz"), netip.MustParseAddr("10.0.2.80"), netip.MustParseAddr("fe80::1%lan")} {
		result, err := probes.Ask(ctx, client, target, probes.ICMP())
		fmt.Println(result, err)
	}
}

// A path takes 1280 bytes, and nobody tells who sends more.
func ExamplePathMTU() {
	_, ctx, lab := given()
	mtu, err := probes.PathMTU(ctx, lab.Node("client"), lab.Node("server"), probes.ICMP())
	if err != nil {
		log.Fatal(err) // nothing arrives, or what became of it is not known
	}
	if mtu.BlackHole() {
		fmt.Println(mtu) // client -> server (10.0.2.1) icmp: 1280 bytes; the kernel of client takes it to be 1500: a black hole ...
	}
	for _, narrow := range mtu.Narrow {
		fmt.Println(narrow.Cause.Node, narrow.Cause.Interface, narrow.Cause.MTU)
	}
}

// UDP-Lite is no UDP to a rule: a firewall that is to be closed to datagrams is to know both.
func ExampleUDPLite() {
	t, ctx, lab := given()
	harness.Require(t, harness.UDPLite) // newer kernels have none
	g := NewWithT(t)
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, probes.UDPLite(5004))
	g.Expect(client).To(probes.Reach(server, probes.UDPLite(5004)).WithContext(ctx))
	g.Expect(lab.Node("fw").Nft(`add rule inet filter forward udplite dport 5004 drop`)).To(Succeed())
	g.Expect(client).To(probes.BeIsolatedFrom(server, probes.UDPLite(5004)).At("fw").By("udplite dport 5004 drop").WithContext(ctx))
}

// The target itself answers, at every address that both ends have.
func ExampleReach() {
	t, ctx, lab := given()
	g := NewWithT(t)
	client, server := lab.Node("client"), lab.Node("server")
	g.Expect(client).To(probes.Reach(server)) // with ICMP
	g.Expect(client).To(probes.Reach(server, probes.TCP(80), probes.UDP(53)))

	// A service that takes its time: ask until it answers.
	g.Eventually(probes.Ask).WithContext(ctx).WithArguments(client, server, probes.TCP(8080)).Should(probes.Reach(server))

	// To say no, say how, beside a control.
	g.Expect(probes.Ask(ctx, client, server, probes.TCP(22))).To(HaveField("Outcome", probes.Rejected))
	g.Expect(lab.Node("fw")).To(probes.Reach(server, probes.TCP(22)), "the server does serve it")
}

// Who reaches whom, all pairs at once, as a table in the test.
func ExampleSurvey() {
	t, ctx, lab := given()
	matrix, err := probes.Survey(ctx, lab, probes.ICMP())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(matrix) // prints such a table
	NewWithT(t).Expect(matrix).To(probes.MatchMatrix(`
		        client  server       fw
		client  .       ok           ok
		server  .       .            ok
		fw      ok      ok           .
	`))
}

// A survey of some nodes and targets only.
func ExampleGrid() {
	t, ctx, lab := given()
	fw := lab.Node("fw")
	grid := probes.Grid{
		From:   []*harness.Node{lab.Node("client"), lab.Node("server")},
		To:     []probes.Target{fw.On("lan"), fw.On("dmz")},
		Probes: []probes.Probe{probes.TCP(22), probes.TCP(443)},
	}
	NewWithT(t).Expect(grid.Survey(ctx)).To(probes.MatchMatrix(`
		        fw/lan      fw/dmz
		client  ok,refused  refused
		server  refused     refused
	`))
}

// Two tenants have the same addresses. A responder signs its answers, so that
// the wrong one is told.
func ExampleServe() {
	t, ctx, _ := given()
	network := topo.New("tenants")
	for _, name := range []string{"red", "blue"} {
		wire := network.Wire(name+"/wire", "10.0.0.0/24")
		network.Host(name+"/client", wire)
		network.Host(name+"/server", wire)
	}
	lab := harness.Up(t, network)
	for _, name := range []string{"red", "blue"} {
		probes.Serve(t, lab.Node(name+"/server"), probes.TCP(80), probes.UDP(53))
	}
	result, err := probes.Ask(ctx, lab.Node("red/client"), netip.MustParseAddr("10.0.0.2"), probes.TCP(80))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.By, result.Proven) // red/server true
}

// A train of echo requests, for loss and round trip times.
func ExamplePing() {
	t, ctx, lab := given()
	stats, err := probes.Ping(ctx, lab.Node("client"), lab.Node("server"), probes.Train{Count: 100, Interval: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats) // 100 sent, 100 received, 0% loss, rtt min/avg/max/stddev ...
	if stats.Loss() > 0.01 || stats.Max > 50*time.Millisecond {
		t.Error(stats)
	}
}
