package harness_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// BenchmarkChangeOfOneLink gives a host of a lab of 100 another port on a switch, and takes
// it away again: "ms/attach", "ms/detach", of which the kernel waits for its grace periods in the
// second. The floor makes the pair, its address
// and its carrier by hand, and takes it away.
func BenchmarkChangeOfOneLink(b *testing.B) {
	network := flatStar(100)
	network.Switch("spare", "10.7.0.0/24")
	lab := harness.Up(b, network)
	took := map[string][]time.Duration{}
	change := func(what string, f func(n *topo.Network)) {
		start := time.Now()
		if err := lab.Change(f); err != nil {
			b.Fatal(err)
		}
		took[what] = append(took[what], time.Since(start))
	}
	ends := floorNamespaces(2)
	buf := make([]byte, 4096)
	timesFloor(b, func() {
		change("ms/attach", func(n *topo.Network) { n.Node("h7").Attach(n.Segment("spare")) })
		change("ms/detach", func(n *topo.Network) { n.Node("h7").Detach(n.Segment("spare")) })
	}, func() {
		floorSend(ends[0].rt, buf, floorPair(9, "h7", 0, ends[1].ns))
		floorSend(ends[1].rt, buf, floorAddr(2, 24, 10, 7, 0, 1), floorUp(2))
		floorSend(ends[0].rt, buf, append(floorHead(unix.RTM_DELLINK, 0), floorLink(9, 0, 0)...))
	})
	for what, times := range took {
		b.ReportMetric(float64(median(times).Microseconds())/1000, what)
	}
	for _, end := range ends {
		end.close()
	}
}

// What one link costs is bounded in messages as well, whatever the lab's size.
func TestChangeOfOneLinkIsSmall(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, flatStar(60))
	start := time.Now()
	for i := range 5 {
		if err := lab.Change(func(n *topo.Network) { n.Host(fmt.Sprintf("late%d", i), n.Segment("lan")) }); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("five changes took %s", took)
	}
}
