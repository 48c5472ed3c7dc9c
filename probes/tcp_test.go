package probes_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/onsi/gomega"
)

// connections are a node's TCP connections that are not listening, as the kernel
// lists them: both addresses and the state.
func connections(t *testing.T, node *harness.Node) (list []string) {
	t.Helper()
	err := node.Do(func() error {
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile("/proc/thread-self/net/" + file)
			if err != nil {
				return err
			}
			for _, line := range strings.Split(string(text), "\n")[1:] {
				if fields := strings.Fields(line); len(fields) > 3 && fields[3] != "0A" {
					list = append(list, strings.Join(fields[1:4], " "))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A probe's connection leaves nothing: no TIME_WAIT, at neither end.
func TestTCPLeavesNoConnection(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web)
	foreign, err := server.Listen(t.Context(), "tcp", netip.AddrPortFrom(netip.Addr{}, 81))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	for _, p := range []probes.Probe{web, probes.TCP(81), probes.TCP(82)} {
		ask(t, client, server, p)
		if _, err := probes.Survey(t.Context(), lab, p); err != nil {
			t.Fatal(err)
		}
	}
	g := gomega.NewWithT(t)
	for _, node := range lab.Nodes() {
		g.Eventually(func() []string { return connections(t, node) }).WithTimeout(10*time.Second).
			Should(gomega.BeEmpty(), "connections of %s", node)
	}
	// The control: a connection that ends by FIN is to be seen.
	conn, err := client.Dial(t.Context(), "tcp", netip.MustParseAddrPort("10.0.2.1:80"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if got := connections(t, client); len(got) != 1 {
		t.Error("the control: ", got)
	}
}

// The kernel asks again after a second; a bound below that is one question.
func TestTCPIsAskedAgainAfterASecond(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for _, within := range []time.Duration{soon, time.Minute} {
		lab := harness.Up(t, office(`table inet filter {
			chain forward {
				type filter hook forward priority 0; policy accept;
				tcp flags & (syn|ack) == syn limit rate 1/hour burst 1 packets drop comment "the first"
			}
		}`))
		probes.Serve(t, lab.Node("server"), web)
		r := ask(t, lab.Node("client"), netip.MustParseAddr("10.0.2.1"), web.Within(within))
		if r.RTT < time.Second && (within > soon || r.Outcome != probes.Silent) {
			t.Errorf("within %s: %+v", within, r)
		}
		if within > soon && (r.Outcome != probes.Answered || r.By != "server" || !r.Proven) {
			t.Errorf("the second is as good as the first: %+v", r)
		}
	}
}
