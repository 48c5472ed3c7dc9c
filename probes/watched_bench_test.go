package probes_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// What watching costs, beside the same without.

// BenchmarkWatchICMP is one probe that is answered, under watch, over a bare one.
func BenchmarkWatchICMP(b *testing.B) {
	lab := harness.Up(b, office(""))
	client, server := lab.Node("client"), lab.Node("fw").On("lan")
	timesFloor(b, 1, func() {
		if r, err := probes.Watch(b.Context(), client, server, icmp); err != nil || r.Outcome != probes.Answered {
			b.Fatal(r, err)
		}
	}, func() { askICMPAt(b, client, server) })
}

func askICMPAt(b *testing.B, from *harness.Node, to probes.Target) {
	if r, err := probes.Ask(b.Context(), from, to, icmp); err != nil || r.Outcome != probes.Answered {
		b.Fatal(r, err)
	}
}

// BenchmarkBeIsolatedFrom is a verdict, at most 50 ms, where the probe's bound is a
// second.
func BenchmarkBeIsolatedFrom(b *testing.B) {
	lab := harness.Up(b, office(guarded))
	client, server := lab.Node("client"), lab.Node("server").On("dmz")
	for b.Loop() {
		if ok, err := probes.BeIsolatedFrom(server, ssh).Match(client); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/verdict")
}

// BenchmarkWatchSurvey30 asks 30 nodes about each other, half of the pairs blocked:
// at most two seconds.
func BenchmarkWatchSurvey30(b *testing.B) {
	lab := harness.Up(b, halves(30))
	for b.Loop() {
		if _, err := probes.WatchSurvey(b.Context(), lab, icmp); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/survey")
}
