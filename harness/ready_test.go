package harness_test

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

var anyPort = netip.AddrPort{}

// Up returns when a first packet will pass. A hundred labs one after the other
// on each of two goroutines: so while one is built, others are being cleared up,
// which is when first packets used to get lost. The packet is forwarded, and so
// needs the neighbour entries of both links; the kernel asks for a neighbour
// again after a second, so what comes later than that was lost at first.
func TestTheFirstPacketPasses(t *testing.T) {
	t.Parallel()
	const labs, goroutines = 200, 2
	var building sync.WaitGroup
	lost := make(chan string, 2*labs)
	for range goroutines {
		building.Go(func() {
			for range labs / goroutines {
				lab := harness.Up(t, office())
				for _, known := range neighbours(t, lab) {
					lost <- "known before anybody asked: " + known
				}
				for _, addr := range lab.Node("server").Addrs() {
					if err := firstPacket(t, lab, addr); err != nil {
						lost <- fmt.Sprintf("%s: %v", addr, err)
					}
				}
				lab.Down()
			}
		})
	}
	building.Wait()
	close(lost)
	for l := range lost {
		t.Error(l)
	}
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
	if err := server.SetReadDeadline(time.Now().Add(900 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("first")); err != nil {
		return err
	}
	_, _, err = server.ReadFrom(make([]byte, 8))
	return err
}
