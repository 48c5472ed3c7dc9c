package probes_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
)

// abreast is how many goroutines ask at once.
const abreast = 64

const closedDNS = `table inet filter { chain forward { type filter hook forward priority 0; udp dport 53 counter drop comment "no dns"; }; }`

// Each of many that watch one lab at once is told what its own probe met.
func TestManyWatchOneLabAtOnce(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(closedDNS))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web, dns)
	var all sync.WaitGroup
	for i := range abreast {
		all.Go(func() {
			for n := range 4 {
				p := []probes.Probe{web, dns, icmp}[(i+n)%3].Within(patience)
				results, err := probes.Watch(t.Context(), client, server, p)
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range each(results) {
					dropped := r.Outcome == probes.Silent && r.Cause != nil && r.Cause.Kind == evidence.Drop && r.Cause.Node == "fw" && r.Cause.Rule.Comment == "no dns"
					answered := r.Outcome == probes.Answered && r.By == "server"
					if (r.Probe.String() == dns.String()) != dropped || dropped == answered {
						t.Errorf("%v\n%v\n%s", r, r.Cause, r.Timeline)
					}
				}
			}
		})
	}
	all.Wait()
}

// A lab may go down amid all that asks, and watches: each is told, and none stays.
func TestDownAmidWatches(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(closedDNS))
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(t, server, web)
	var all, asked sync.WaitGroup
	const few = 8 // who has an answer asks again at once
	asked.Add(few)
	for i := range few {
		all.Go(func() {
			first := sync.OnceFunc(asked.Done)
			defer first()
			for {
				ask := probes.Watch
				if i%2 == 0 {
					ask = probes.Ask
				}
				if _, err := ask(t.Context(), client, server, []probes.Probe{web, probes.UDP(53), icmp}[i%3]); err != nil { // within a second
					return
				}
				first()
			}
		})
	}
	all.Go(func() {
		for {
			if _, err := probes.WatchSurvey(t.Context(), lab, icmp, dns); err != nil {
				return
			}
		}
	})
	asked.Wait()
	lab.Down()
	all.Wait()
	if _, err := probes.Watch(t.Context(), client, server, web); err == nil || !strings.Contains(err.Error(), "the lab is down") {
		t.Errorf("of a lab that is down: %v", err)
	}
}
