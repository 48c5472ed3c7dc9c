package harness_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

var anyPort = netip.AddrPort{}

// firstVar is how many labs are built; `make packets N=10000` sets it.
const firstVar = "NSTEST_FIRST_N"

// Up returns when a first packet will pass. A hundred labs one after the other
// on each of two goroutines: so while one is built, others are being cleared up,
// which is when first packets used to get lost. The packet is forwarded, and so
// needs the neighbour entries of both links; the kernel asks for a neighbour, and TCP for
// a connection, again after a second, so what comes later than that was lost at first.
func TestTheFirstPacketPasses(t *testing.T) {
	t.Parallel()
	const goroutines = 2
	labs := 200
	if text := os.Getenv(firstVar); text != "" {
		var err error
		if labs, err = strconv.Atoi(text); err != nil {
			t.Fatalf("%s: %v", firstVar, err)
		}
	}
	var building sync.WaitGroup
	for builder := range goroutines {
		building.Go(func() {
			for i := builder; i < labs; i += goroutines {
				lab := harness.Up(t, office())
				for _, known := range neighbours(t, lab) {
					t.Errorf("lab %d: known before anybody asked: %s", i, known)
				}
				for j, addr := range lab.Node("server").Addrs() {
					first := firstPacket
					if (i/goroutines+j)%2 == 1 { // each of both families, in its turn
						first = firstConnection
					}
					if err := first(t, lab, addr); err != nil {
						t.Errorf("lab %d: %s: %v", i, addr, err)
					}
				}
				lab.Down()
			}
		})
	}
	building.Wait()
}

// A machine that clears up many namespaces keeps link-local addresses tentative for
// seconds. Up waits, and does not ask from another address, which who is asked would
// know. Duplicate address detection (RFC 4862, 5.4: a second for each of its
// solicitations) makes one tentative for that long.
func TestUpWaitsForALinkLocalAddress(t *testing.T) {
	t.Parallel()
	network := topo.New("slow")
	lan := network.Switch("lan", "fd00:1::/64")
	for _, name := range []string{"a", "b"} {
		network.Host(name, lan).Sysctl("net.ipv6.conf.all.accept_dad", "1").Sysctl("net.ipv6.conf.default.dad_transmits", "5")
	}
	start := time.Now()
	lab := harness.Up(t, network)
	if took := time.Since(start); took < 4*time.Second {
		t.Errorf("up after %v: the addresses were not made tentative", took)
	}
	if known := neighbours(t, lab); known != nil {
		t.Errorf("known before anybody asked: %s", known)
	}
}

// neighbours are the neighbours that nodes know by addresses that tests use.
func neighbours(t *testing.T, lab *harness.Lab) (known []string) {
	for _, node := range lab.Nodes() {
		entries, err := node.Netlink().NeighList(0, netlink.FAMILY_ALL)
		if err != nil {
			t.Error(err)
		}
		for _, n := range entries {
			if n.State&netlink.NUD_NOARP == 0 && !n.IP.IsLinkLocalUnicast() {
				known = append(known, fmt.Sprintf("%s at %s", n.IP, node))
			}
		}
	}
	return known
}

// firstBound is less than after what kernels try again.
const firstBound = 900 * time.Millisecond

// firstPacket sends one datagram and waits for it at the other end.
func firstPacket(t *testing.T, lab *harness.Lab, to netip.Addr) error {
	server, err := lab.Node("server").ListenPacket(t.Context(), "udp", netip.AddrPortFrom(to, 0))
	if err != nil {
		return err
	}
	defer server.Close()
	conn, err := lab.Node("client").Dial(t.Context(), "udp", netip.MustParseAddrPort(server.LocalAddr().String()))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := server.SetReadDeadline(time.Now().Add(firstBound)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("first")); err != nil {
		return err
	}
	_, _, err = server.ReadFrom(make([]byte, 8))
	return err
}

// firstConnection is made with the first segment, which is sent again after a second.
func firstConnection(t *testing.T, lab *harness.Lab, to netip.Addr) error {
	server, err := lab.Node("server").Listen(t.Context(), "tcp", netip.AddrPortFrom(to, 0))
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), firstBound)
	defer cancel()
	conn, err := lab.Node("client").Dial(ctx, "tcp", netip.MustParseAddrPort(server.Addr().String()))
	if err != nil {
		return err
	}
	return conn.Close()
}
