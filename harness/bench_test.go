package harness_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Every figure is a ratio to the floor, measured in turns in the same run:
//
//	go test -run ^$ -bench . -benchtime 9x ./harness
//
// "x-floor" is the median of the work over the median of the floor.

func routedStar(n int) *topo.Network {
	star := topo.New("star")
	segments := make([]topo.Attachment, n)
	for i := range n {
		segment := star.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.%d.%d.0/24", i>>8, i&255))
		segments[i] = segment
		star.Host(fmt.Sprintf("h%d", i), segment)
	}
	star.Router("r", segments...)
	return star
}

func flatStar(n int) *topo.Network {
	star := topo.New("flat")
	lan := star.Switch("lan", "10.0.0.0/16")
	for i := range n {
		star.Host(fmt.Sprintf("h%d", i), lan)
	}
	return star
}

func upDown(b *testing.B, network func() *topo.Network) func() {
	return func() { harness.Up(b, network()).Down() }
}

func BenchmarkUpRouted50(b *testing.B) {
	timesFloor(b, upDown(b, func() *topo.Network { return routedStar(50) }), func() { floorDown(floorRouted(50)) })
}

func BenchmarkUpSwitched50(b *testing.B) {
	timesFloor(b, upDown(b, func() *topo.Network { return flatStar(50) }), func() { floorDown(floorSwitched(50)) })
}

// BenchmarkUpRouted1000 and BenchmarkUpSwitched1000 compare with the harness's
// own time per host at 50 ("x-per-host").
func BenchmarkUpRouted1000(b *testing.B)   { perHost(b, routedStar) }
func BenchmarkUpSwitched1000(b *testing.B) { perHost(b, flatStar) }

func perHost(b *testing.B, star func(int) *topo.Network) {
	small, large := upDown(b, func() *topo.Network { return star(50) }), upDown(b, func() *topo.Network { return star(1000) })
	ratio := inTurns(b, large, func() {
		for range 20 {
			small()
		}
	})
	b.ReportMetric(ratio, "x-per-host")
}

// BenchmarkUpRow builds three-node labs in a row, without waiting for the
// kernel's clean-up between them. The table's figure is labs a second over the
// floor's, "of-floor".
func BenchmarkUpRow(b *testing.B) {
	const labs = 20
	row := func(one func()) func() {
		return func() {
			for range labs {
				one()
			}
		}
	}
	ratio := inTurns(b, row(upDown(b, func() *topo.Network { return routedStar(2) })), row(func() { floorDown(floorRouted(2)) }))
	b.ReportMetric(1/ratio, "of-floor")
}

// timesFloor reports how many times the floor's the work's time is.
func timesFloor(b *testing.B, work, floor func()) {
	b.Helper()
	b.ReportMetric(inTurns(b, work, floor), "x-floor")
}

// inTurns runs both b.N times, in turns whose order changes, with the kernel's
// clean-up finished in between, and returns the ratio of their medians.
func inTurns(b *testing.B, work, floor func()) float64 {
	b.Helper()
	var times [2][]time.Duration
	floor() // both warm
	work()
	b.ResetTimer()
	for i := range b.N {
		for turn := range 2 {
			b.StopTimer()
			drain(b)
			which := (turn + i) % 2
			start := time.Now()
			if which == 0 {
				b.StartTimer()
				work()
			} else {
				floor()
			}
			times[which] = append(times[which], time.Since(start))
		}
	}
	b.StopTimer()
	return float64(median(times[0])) / float64(median(times[1]))
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// drain returns when the kernel has cleared up every namespace that ended
// before: it does so in order, so one more, with a pair into a namespace that
// stays, is gone when the pair's end here is.
func drain(b *testing.B) {
	b.Helper()
	made, buf := floorNamespaces(2), make([]byte, 64<<10)
	defer made[0].close()
	watch, err := subscribe(made[0])
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(watch)
	floorSend(made[0].rt, buf, floorPair(10, "sentinel", 0, made[1].ns))
	made[1].close()
	for {
		n, _, err := unix.Recvfrom(watch, buf, 0)
		if err != nil {
			b.Fatal("wait for the kernel's clean-up: ", err)
		}
		for m := buf[:n]; len(m) >= 16; m = m[min(len(m), int(uint32(m[0])|uint32(m[1])<<8|uint32(m[2])<<16)+3&^3):] {
			if m[4] == unix.RTM_DELLINK && m[5] == 0 {
				return
			}
		}
	}
}

// subscribe opens a socket in the namespace that hears of links.
func subscribe(in floorNS) (fd int, err error) {
	done := make(chan error)
	go func() {
		floorEnter(in.ns)
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err == nil {
			bound := unix.Timeval{Sec: 30}
			_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound)
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)})
		}
		done <- err
	}()
	err = <-done
	return fd, err
}
