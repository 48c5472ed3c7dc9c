package harness_test

import (
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
)

// BenchmarkCommand is what a node's commands cost, in milliseconds, and what the
// rest of a lab adds: the first of a lab, the first of another node, the next of
// a node that has run one. Each ends before it counts.
func BenchmarkCommand(b *testing.B) {
	var first, other, next time.Duration
	run := func(node *harness.Node) time.Duration {
		start := time.Now()
		if err := node.Command("/bin/true").Run(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for b.Loop() {
		lab := harness.Up(b, pair())
		first += run(lab.Node("alice"))
		other += run(lab.Node("bob"))
		next += run(lab.Node("bob"))
		lab.Down()
	}
	for name, spent := range map[string]time.Duration{"ms-first": first, "ms-other": other, "ms-next": next} {
		b.ReportMetric(spent.Seconds()*1000/float64(b.N), name)
	}
}
