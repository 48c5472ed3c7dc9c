package probes_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Every figure is a ratio to the floor, measured in turns in the same run:
//
//	go test -run ^$ -bench . -benchtime 20x ./probes
//
// "x-floor" is the median of the work over the median of the floor.

// BenchmarkAskICMP is one probe on a warm lab. The floor opens a socket for each.
func BenchmarkAskICMP(b *testing.B) {
	lab := harness.Up(b, wire())
	client, server := lab.Node("client"), lab.Node("server")
	const probesATurn = 500
	to, buf := &unix.SockaddrInet4{Addr: server.Addr().As4()}, make([]byte, 128)
	timesFloor(b, probesATurn, func() {
		for range probesATurn {
			askICMP(b, client, server)
		}
	}, func() {
		inside(b, client, func() {
			for i := range probesATurn {
				floorAskICMP(uint16(i), to, buf)
			}
		})
	})
}

func askICMP(b *testing.B, from, to *harness.Node) {
	r, err := probes.Ask(b.Context(), from, to, icmp)
	if err != nil || r.Outcome != probes.Answered {
		b.Fatal(r, err)
	}
}

// BenchmarkAskTCP is one probe of a responder, which signs; so does the floor's.
func BenchmarkAskTCP(b *testing.B) {
	lab := harness.Up(b, wire())
	client, server := lab.Node("client"), lab.Node("server")
	probes.Serve(b, server, web)
	const probesATurn = 100
	to, buf := netip.AddrPortFrom(server.Addr(), 80), make([]byte, 256)
	timesFloor(b, probesATurn, func() {
		for range probesATurn {
			r, err := probes.Ask(b.Context(), client, server, web)
			if err != nil || !r.Proven {
				b.Fatal(r, err)
			}
		}
	}, func() {
		inside(b, client, func() {
			for range probesATurn {
				floorAskTCP(to, buf)
			}
		})
	})
}

// BenchmarkSurveyICMP100 asks 9,900 pairs of a routed star. Each has its gateway
// for its only neighbour, which is warm in every turn but the first.
func BenchmarkSurveyICMP100(b *testing.B) {
	lab, hosts, grid := star(b, 100)
	timesFloor(b, 100*99, func() { survey(b, lab, grid, icmp) }, func() { floorSurvey(b, hosts) })
}

// BenchmarkSurveyTCP30 asks the responders of 870 pairs.
func BenchmarkSurveyTCP30(b *testing.B) {
	lab, hosts, grid := star(b, 30)
	for _, host := range hosts {
		probes.Serve(b, host, web)
	}
	timesFloor(b, 30*29, func() { survey(b, lab, grid, web) }, func() { floorSurveyTCP(b, hosts, 80) })
}

func wire() *topo.Network {
	network := topo.New("wire")
	wire := network.Wire("wire", "10.0.0.0/24")
	network.Host("client", wire)
	network.Host("server", wire)
	return network
}

// star is a routed star, its hosts, and a grid of these.
func star(b *testing.B, n int) (lab *harness.Lab, hosts []*harness.Node, grid probes.Grid) {
	network := topo.New("star")
	var segments []topo.Attachment
	for i := range n {
		segment := network.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.0.%d.0/24", i))
		segments = append(segments, segment)
		network.Host(fmt.Sprintf("h%d", i), segment)
	}
	network.Router("r", segments...)
	lab = harness.Up(b, network)
	hosts = lab.Nodes()[:n]
	grid.From = hosts
	for _, host := range hosts {
		grid.To = append(grid.To, host)
	}
	return lab, hosts, grid
}

func survey(b *testing.B, lab *harness.Lab, grid probes.Grid, p probes.Probe) {
	grid.Probes = []probes.Probe{p}
	matrix, err := grid.Survey(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for i, from := range grid.From {
		to := grid.From[(i+1)%len(grid.From)]
		if got := matrix.Cell(from.Name(), to.Name()); got != "ok" {
			b.Fatal(from, to, got)
		}
	}
}

// inside runs f on a thread in the node's namespace.
func inside(b *testing.B, node *harness.Node, f func()) {
	if err := node.Do(func() error { f(); return nil }); err != nil {
		b.Fatal(err)
	}
}

// timesFloor runs work and floor b.N times in turns whose order changes, and
// reports how many times the floor's the work's time is, and each one's time for
// one of so many probes.
func timesFloor(b *testing.B, many int, work, floor func()) {
	b.Helper()
	ours, floors := inTurns(b, work, floor)
	b.ReportMetric(float64(ours)/float64(floors), "x-floor")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(many), "ns/probe")
	b.ReportMetric(float64(floors.Nanoseconds())/float64(many), "floor-ns/probe")
}

// inTurns runs both b.N times, in turns whose order changes, and returns the medians.
func inTurns(b *testing.B, work, floor func()) (ours, floors time.Duration) {
	b.Helper()
	var times [2][]time.Duration
	floor() // both warm
	work()
	b.StopTimer()
	b.ResetTimer()
	for i := range b.N {
		for turn := range 2 {
			which := (turn + i) % 2
			run := floor
			if which == 0 {
				run = work
				b.StartTimer()
			}
			start := time.Now()
			run()
			times[which] = append(times[which], time.Since(start))
			b.StopTimer()
		}
	}
	for which := range times {
		slices.Sort(times[which])
	}
	return times[0][b.N/2], times[1][b.N/2]
}
