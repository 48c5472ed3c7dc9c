package probes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

// storm is two firewalls in a row that hand frames back to each other: what netdev forwards loses nothing of its TTL, so one packet goes round for ever.
func storm(t *testing.T, match string) *harness.Lab {
	t.Helper()
	harness.Require(t, harness.NftTool)
	network := topo.New("storm")
	lan, core, wan := network.Wire("lan", "10.0.1.0/24"), network.Wire("core", "10.0.2.0/24"), network.Wire("wan", "10.0.3.0/24")
	network.Host("client", lan)
	network.Host("server", wan)
	for name, side := range map[string]*topo.Segment{"fw1": lan, "fw2": wan} {
		network.Router(name, side, core).Nft(`table netdev round {
			chain c { type filter hook ingress device "core" priority 0; ` + match + ` fwd to "core"; }
		}`)
	}
	return harness.Up(t, network)
}

// calms takes a storm away at the test's end, before the lab goes: the next test is to
// have the processors.
func calms(t *testing.T, lab *harness.Lab) {
	t.Helper()
	for _, name := range []string{"fw1", "fw2"} {
		if out, err := lab.Node(name).Command("nft", "flush", "ruleset").CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// ends fails where f takes longer than what waits for seconds may on a busy machine.
func ends(t *testing.T, lab *harness.Lab, f func()) {
	t.Helper()
	const most = time.Minute
	done, begun := make(chan struct{}), time.Now()
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(most):
		t.Errorf("it has not ended after %v", most)
		calms(t, lab)
		<-done
	}
	t.Logf("took %v", time.Since(begun))
	calms(t, lab)
}

// What is asked in a storm, each for a moment: others want the processors.
var (
	echoes = probes.ICMP().Within(200 * time.Millisecond)
	pages  = probes.TCP(80).Within(200 * time.Millisecond)
	names  = probes.UDP(53).Within(200 * time.Millisecond)
)

// toServer matches all probes of the server.
const toServer = "ip daddr 10.0.3.1 meta l4proto { tcp, udp, icmp }"

const goesRound = "packets go round between fw1 and fw2"

// However much is told of a packet that goes round for ever: a probe under watch ends at its
// bound, with what is the matter.
func TestWatchEndsInAStorm(t *testing.T) {
	for _, p := range []probes.Probe{pages, names} {
		t.Run(p.String(), func(t *testing.T) {
			lab := storm(t, toServer)
			ends(t, lab, func() {
				for range 2 { // the second finds the storm of the first
					r, err := probes.Watch(context.Background(), lab.Node("client"), lab.Node("server"), p)
					if err != nil || r.Outcome != probes.Silent || r.Cause == nil || !strings.HasPrefix(r.Cause.String(), "inconclusive: "+goesRound) {
						t.Errorf("%s: %v, %v", r, r.Cause, err)
					}
					if n := len(r.Timeline); n > 100 {
						t.Errorf("the timeline has %d sightings", n)
					}
				}
			})
		})
	}
}

// A question for a neighbour's address is of no probe: that more comes than is read ends it, or
// that the neighbour is not found.
func TestWatchEndsInAStormOfQuestions(t *testing.T) {
	lab := storm(t, "meta protocol arp")
	ends(t, lab, func() {
		for _, p := range []probes.Probe{echoes, pages, names} {
			r, err := probes.Watch(context.Background(), lab.Node("client"), lab.Node("server"), p)
			if err != nil || r.Outcome == probes.Answered || r.Cause == nil || r.Cause.Policy {
				t.Errorf("%s: %v, %v", r, r.Cause, err)
			}
		}
	})
}

func TestWatchSurveyEndsInAStorm(t *testing.T) {
	lab := storm(t, toServer)
	ends(t, lab, func() {
		m, err := probes.WatchSurvey(context.Background(), lab, names)
		if err != nil || !strings.Contains(m.String(), goesRound) {
			t.Errorf("%v\n%s", err, m)
		}
	})
}

func TestChecksEndInAStorm(t *testing.T) {
	lab := storm(t, toServer)
	client, server := lab.Node("client"), lab.Node("server")
	ends(t, lab, func() {
		for name, matcher := range map[string]gomega.OmegaMatcher{
			"BeIsolatedFrom": probes.BeIsolatedFrom(server, pages, names),
			"BeUnansweredBy": probes.BeUnansweredBy(server, names),
		} {
			said := failures(func(g gomega.Gomega) { g.Expect(client).To(matcher) })
			if len(said) != 1 || !strings.Contains(said[0], "inconclusive: "+goesRound) {
				t.Errorf("%s: %q", name, said)
			}
		}
	})
}

// Who stops waiting is not kept: on a busy machine for the better part of a minute, where it is told to wait for an hour.
func TestAContextEndsAWatchInAStorm(t *testing.T) {
	lab := storm(t, toServer)
	ends(t, lab, func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		begun := time.Now()
		r, err := probes.Watch(ctx, lab.Node("client"), lab.Node("server"), dns.Within(time.Hour))
		if took := time.Since(begun); took > 50*time.Second {
			t.Errorf("it took %v: %s, %v", took, r, err)
		}
		begun = time.Now()
		m, err := probes.WatchSurvey(ctx, lab, dns.Within(time.Hour))
		if took := time.Since(begun); took > 50*time.Second {
			t.Errorf("the survey took %v: %v, %v", took, m, err)
		}
	})
}

// When the packets do not go round any longer all is as it was.
func TestWatchAfterAStorm(t *testing.T) {
	lab := storm(t, toServer)
	probes.Serve(t, lab.Node("server"), dns)
	ask := func() string {
		r, err := probes.Watch(t.Context(), lab.Node("client"), lab.Node("server"), names)
		return fmt.Sprint(r.Outcome, r.Cause, err)
	}
	ends(t, lab, func() {
		if said := ask(); !strings.Contains(said, goesRound) {
			t.Error(said)
		}
	})
	gomega.NewWithT(t).Expect(lab.Node("client")).To(probes.Reach(lab.Node("server"), dns))
	if out, err := lab.Node("fw2").Command("nft", "add table inet f; add chain inet f c { type filter hook forward priority 0; policy drop; }").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	gomega.NewWithT(t).Expect(lab.Node("client")).To(probes.BeIsolatedFrom(lab.Node("server"), dns).At("fw2"))
}
