package probes_test

import (
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// The floor of a watch: the same packets by hand, in a lab with a tap in each node and a
// trace where the rules are, opened once. What these tell is read after so many
// packets, and nothing is made of it.

// floorTrace is rules that trace echoes: a chain at each hook before all others, or after
// them, as the watch has them.
const floorTrace = `
table inet floor {
	chain first { type filter hook prerouting priority -500; icmp type { echo-request, echo-reply } meta nftrace set 1; }
	chain own { type filter hook output priority -500; icmp type { echo-request, echo-reply } meta nftrace set 1; }
	chain second { type filter hook prerouting priority 500; }
	chain in { type filter hook input priority 500; }
	chain on { type filter hook forward priority 500; }
	chain made { type filter hook output priority 500; }
	chain out { type filter hook postrouting priority 500; }
}
`

// floorWatch is the sockets of a watch by hand.
type floorWatch struct {
	nodes   []*harness.Node
	told    []int // taps and traces
	askers  []int // raw sockets, one a node
	scratch []byte
}

// openFloorWatch watches a lab by hand; traced is where there are rules.
func openFloorWatch(b *testing.B, nodes []*harness.Node, traced *harness.Node) *floorWatch {
	b.Helper()
	f := &floorWatch{nodes: nodes, scratch: make([]byte, 64<<10)}
	err := harness.Visit(nodes, func(node *harness.Node) error {
		const all = 0x0300 // ETH_P_ALL in the order of the network
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
		f.told, f.askers = append(f.told, fd), append(f.askers, floorSocket())
		if err != nil || node != traced {
			return err
		}
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		f.told = append(f.told, fd)
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTRACE)
	})
	if err != nil {
		b.Fatal(err)
	}
	for _, fd := range f.told {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
	}
	b.Cleanup(func() {
		for _, fd := range append(f.told, f.askers...) {
			unix.Close(fd)
		}
	})
	return f
}

// survey is the echo request of every pair, and reads what was told of them.
func (f *floorWatch) survey() {
	var workers sync.WaitGroup
	for worker := range 2 {
		workers.Go(func() {
			packet := make([]byte, 64)
			for i := worker; i < len(f.nodes); i += 2 {
				for j, to := range f.nodes {
					if i != j {
						f.send(i, to, packet, uint16(j))
					}
				}
			}
		})
	}
	workers.Wait()
	f.drain()
}

func (f *floorWatch) send(from int, to *harness.Node, packet []byte, seq uint16) {
	if err := unix.Sendto(f.askers[from], floorEcho(packet, 7, seq), 0, &unix.SockaddrInet4{Addr: to.Addr().As4()}); err != nil {
		panic(err)
	}
}

// drain reads all that was told, and the answers.
func (f *floorWatch) drain() {
	for _, fds := range [][]int{f.told, f.askers} {
		for _, fd := range fds {
			for {
				if _, err := unix.Read(fd, f.scratch); err != nil && err != unix.EINTR && err != unix.ENOBUFS {
					break
				}
			}
		}
	}
}
