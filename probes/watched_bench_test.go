package probes_test

import (
	"context"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// What watching costs, beside the same without: "x-unwatched" is the median of the
// one over that of the other, measured in turns.

// BenchmarkWatchTapped is one probe that is answered, where no node has rules: a tap
// in each.
func BenchmarkWatchTapped(b *testing.B) {
	lab := harness.Up(b, office(""))
	watchAnswered(b, lab.Node("client"), lab.Node("server").On("dmz"))
}

// BenchmarkWatchTraced is the same where the router has rules: taps, and the rules'
// trace.
func BenchmarkWatchTraced(b *testing.B) {
	lab := harness.Up(b, office(unguarded))
	watchAnswered(b, lab.Node("client"), lab.Node("server").On("dmz"))
}

// unguarded is rules that drop nothing.
const unguarded = `table inet filter {
	chain forward {
		type filter hook forward priority 0; policy accept;
		icmp type echo-request accept
	}
}`

func watchAnswered(b *testing.B, client *harness.Node, server probes.Target) {
	answered := func(ask func(context.Context, *harness.Node, probes.Target, probes.Probe) (probes.Result, error)) func() {
		return func() {
			if r, err := ask(b.Context(), client, server, icmp); err != nil || r.Outcome != probes.Answered {
				b.Fatal(r, err)
			}
		}
	}
	timesUnwatched(b, answered(probes.Watch), answered(probes.Ask))
}

// timesUnwatched reports how many times the time without a watch the one with it is.
func timesUnwatched(b *testing.B, watched, unwatched func()) {
	b.Helper()
	with, without := inTurns(b, watched, unwatched)
	reportWatched(b, with, without)
}

func reportWatched(b *testing.B, with, without time.Duration) {
	b.ReportMetric(float64(with.Microseconds())/1000, "ms/watched")
	b.ReportMetric(float64(without.Microseconds())/1000, "ms/unwatched")
	b.ReportMetric(float64(with)/float64(without), "x-unwatched")
}

// BenchmarkBeIsolatedFrom is a verdict: at most 2 ms. Without a watch the probe is
// silent for as long as it may wait, which is a second if nothing else is said.
func BenchmarkBeIsolatedFrom(b *testing.B) {
	lab := harness.Up(b, office(guarded))
	client, server := lab.Node("client"), lab.Node("server").On("dmz")
	for b.Loop() {
		if ok, err := probes.BeIsolatedFrom(server, ssh).Match(client); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	unwatched, err := probes.Ask(b.Context(), client, server, probes.TCP(22))
	if err != nil || unwatched.Outcome != probes.Silent {
		b.Fatal(unwatched, err)
	}
	reportWatched(b, b.Elapsed()/time.Duration(b.N), unwatched.RTT)
}

// BenchmarkWatchSurvey30 asks 30 nodes about each other and their router, half of the pairs
// blocked: at most twice the floor and 20 ms. Without a watch the blocked ones are silent
// for a second.
func BenchmarkWatchSurvey30(b *testing.B) {
	harness.Require(b, harness.NftTool)
	lab, floor := harness.Up(b, halves(30)), harness.Up(b, halves(30, floorTrace))
	watch := openFloorWatch(b, floor.Nodes(), floor.Node("fw"))
	watched, bare := inTurns(b, func() {
		matrix, err := probes.WatchSurvey(b.Context(), lab, probes.ICMP())
		if err != nil || matrix.Cell("h0", "h29") != "drop@fw" || matrix.Cell("h0", "h1") != "ok" {
			b.Fatal(matrix, err)
		}
	}, watch.survey)
	reportFloor(b, watched, bare, 20*time.Millisecond)
}

// reportFloor reports by how much what is watched is above the floor, when so much more is
// taken off as it may take in any case.
func reportFloor(b *testing.B, watched, floor, more time.Duration) {
	b.Helper()
	b.ReportMetric(float64(watched.Nanoseconds())/1e6, "ms/watched")
	b.ReportMetric(float64(floor.Nanoseconds())/1e6, "ms/floor")
	b.ReportMetric(float64(watched-more)/float64(floor), "x-floor-less-"+more.String())
}
