package probes_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// BenchmarkWatchBehind5000Rules is a probe that no rule but the last of 5,000 matches, which
// drops it: at most 1.5 times what the kernel takes to try them all, and 2 ms.
// "ms/kernel" is that time: of an echo that passes as many rules one way.
func BenchmarkWatchBehind5000Rules(b *testing.B) {
	harness.Require(b, harness.NftTool)
	var rules strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&rules, "\t\ticmp type echo-request ip daddr 10.%d.%d.1 drop\n", 100+i/250, i%250)
	}
	const table = "table ip filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n%s\t\t%s\n\t}\n}"
	blocked := harness.Up(b, office(fmt.Sprintf(table, rules.String(), `icmp type echo-request drop comment "the last"`)))
	open := harness.Up(b, office(fmt.Sprintf(table, rules.String(), "accept")))
	to := func(lab *harness.Lab) probes.Target { return lab.Node("server").Addr() }
	watched, unwatched := inTurns(b, func() {
		r, err := probes.Watch(b.Context(), blocked.Node("client"), to(blocked), icmp)
		if err != nil || r.Cause == nil || r.Cause.Word() != "drop@fw" {
			b.Fatal(r, err)
		}
	}, func() {
		if r, err := probes.Ask(b.Context(), open.Node("client"), to(open), icmp); err != nil || r.Outcome != probes.Answered {
			b.Fatal(r, err)
		}
	})
	b.ReportMetric(float64(watched.Microseconds())/1000, "ms/watched")
	b.ReportMetric(float64(unwatched.Microseconds())/1000, "ms/kernel")
	b.ReportMetric(float64(watched-2*time.Millisecond)/float64(unwatched), "x-kernel-less-2ms")
}

// BenchmarkIdleWatch is an echo of a lab that is watched, and no probe under way, beside
// one of a lab that is not: at most a quarter more.
func BenchmarkIdleWatch(b *testing.B) {
	harness.Require(b, harness.NftTool)
	watched, not := harness.Up(b, office(unguarded)), harness.Up(b, office(unguarded))
	server := watched.Node("server").Addr()
	if _, err := probes.Watch(b.Context(), watched.Node("client"), server, icmp); err != nil {
		b.Fatal(err)
	}
	rounds := func(lab *harness.Lab) func() {
		return func() {
			for range 50 {
				if _, err := probes.Ask(b.Context(), lab.Node("client"), server, icmp); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	with, without := inTurns(b, rounds(watched), rounds(not))
	b.ReportMetric(float64(with.Nanoseconds())/50, "ns/watched")
	b.ReportMetric(float64(without.Nanoseconds())/50, "ns/unwatched")
	b.ReportMetric(float64(with)/float64(without), "x-unwatched")
}

// BenchmarkTracedPackets are echo requests that a router drops after so many rules have
// matched, all under one watch: at most 1.5 times the floor, 35 us, and 1.5 us for each
// rule that matched.
func BenchmarkTracedPackets(b *testing.B) {
	harness.Require(b, harness.NftTool)
	for _, matching := range []int{0, 10, 50} {
		b.Run(fmt.Sprintf("matching=%d", matching), func(b *testing.B) { tracedPackets(b, matching) })
	}
}

func tracedPackets(b *testing.B, matching int) {
	const packets = 200
	rules := "table ip filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0;\n" +
		strings.Repeat("\t\ticmp type echo-request counter\n", matching) + "\t\ticmp type echo-request drop\n\t}\n}\n"
	lab, floor := harness.Up(b, office(rules)), harness.Up(b, office(rules+floorTrace))
	grid := probes.Grid{From: []*harness.Node{lab.Node("client")}, To: []probes.Target{lab.Node("server").Addr()}, Watch: true}
	for range packets {
		grid.Probes = append(grid.Probes, icmp)
	}
	watch, packet := openFloorWatch(b, floor.Nodes(), floor.Node("fw")), make([]byte, 64)
	client := slices.Index(floor.Nodes(), floor.Node("client"))
	watched, bare := inTurns(b, func() {
		matrix, err := grid.Survey(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range matrix.Results("client", grid.To[0].(netip.Addr).String()) {
			if r.Cause.Word() != "drop@fw" {
				b.Fatal(r)
			}
		}
	}, func() {
		for i := range packets {
			watch.send(client, floor.Node("server"), packet, uint16(i))
		}
		watch.drain()
	})
	reportFloor(b, watched/packets, bare/packets, 35*time.Microsecond+time.Duration(matching)*1500*time.Nanosecond)
}
