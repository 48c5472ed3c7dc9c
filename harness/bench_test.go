package harness_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime/debug"
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

// BenchmarkIdleNode is what a node that nobody has used yet takes of this
// process's resident memory: "KiB/node". What the kernel takes for it besides is
// some 300 KiB.
func BenchmarkIdleNode(b *testing.B) {
	const nodes = 500
	var taken []int
	for b.Loop() {
		before := resident(b)
		lab := harness.Up(b, flatStar(nodes))
		taken = append(taken, (resident(b)-before)/nodes)
		lab.Down()
	}
	slices.Sort(taken)
	b.ReportMetric(float64(taken[len(taken)/2])/1024, "KiB/node")
}

// resident is this process's resident memory in bytes, after a collection.
func resident(b *testing.B) int {
	b.Helper()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return pages * os.Getpagesize()
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
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			b.Fatal("wait for the kernel's clean-up: ", err)
		}
		for m := buf[:n]; len(m) >= unix.NLMSG_HDRLEN; {
			if binary.NativeEndian.Uint16(m[4:]) == unix.RTM_DELLINK {
				return
			}
			length := int(binary.NativeEndian.Uint32(m))
			m = m[min(len(m), (length+3)&^3):]
		}
	}
}

// subscribe opens a socket in the namespace that hears of links.
func subscribe(in floorNS) (fd int, err error) {
	done := make(chan error)
	floorThread(func() {
		if err := unix.Setns(in.ns, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err == nil {
			bound := unix.Timeval{Sec: 30}
			_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound)
			err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)})
		}
		done <- err
	})
	err = <-done
	return fd, err
}
