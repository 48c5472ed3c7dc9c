package probes

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Fragmented sends an ICMP, UDP or UDP-Lite probe in fragments, as the asker's kernel makes them of what is larger
// than the MTU of its way, and of IPv4 any router after it: for filters that see fragments by
// themselves, and for nodes that take none. Size is to be larger than that MTU; where it is not, asking
// is an error, since nothing would be asked about fragments.
//
//	Expect(client).To(probes.Reach(server, probes.UDP(53).Size(4000).Fragmented()))
//	Expect(client).To(probes.BeIsolatedFrom(server, probes.ICMP().Size(2000).Fragmented()).By("no fragments"))
//
// Each fragment is followed. Where they fare differently (only the first has ports), what stopped one
// is the Cause, since nothing comes of the others then; and it is no isolation where any of them came
// in at the target.
func (p Probe) Fragmented() Probe {
	p.source.fragmented = true
	return p
}

// checkFragmented says what is wrong with a probe that is to be fragmented.
func (p Probe) checkFragmented() error {
	switch {
	case !p.source.fragmented:
		return nil
	case !p.kind.fragments:
		return fmt.Errorf("Fragmented(): only what ICMP, UDP and UDP-Lite send is fragmented: TCP sends what fits")
	case p.words != nil:
		return fmt.Errorf("Fragmented() and Send: say with Size how much is sent")
	}
	return nil
}

// isFragmented says whether the asker's kernel makes fragments of a probe that is meant to be.
func (a *asking) isFragmented() error {
	if !a.source.fragmented {
		return nil
	}
	mtu, err := a.mtu()
	if err != nil {
		return nil // it cannot be sent: the probe itself tells why
	}
	if size := a.header() + a.probe.payload(); size <= mtu {
		return fmt.Errorf("Fragmented(): the way to %s takes %d bytes at once, and the packet has %d: say a larger Size", a.addr, mtu, size)
	}
	return nil
}

// header is what a datagram or an echo request has before its payload: IP's header, and eight bytes.
func (a *asking) header() int {
	const upper, head4, head6 = 8, 20, 40
	if a.addr.Is6() {
		return head6 + upper
	}
	return head4 + upper
}

// mtu is what the asker's kernel takes its way to the address to take, in bytes, also as it has
// learned it (IP_MTU, ip(7)).
func (a *asking) mtu() (mtu int, err error) {
	fd := -1
	err = a.from.Do(func() (err error) {
		fd, err = a.source.open(a.addr.Is6(), unix.SOCK_DGRAM, 0)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	own := a.source
	own.port = 0
	if _, err := own.bind(fd, a.addr.Is6()); err != nil {
		return 0, err
	}
	to := asking{addr: a.addr, scope: a.scope, probe: Probe{port: discard}}
	if err := unix.Connect(fd, to.sockaddr()); err != nil {
		return 0, err
	}
	if a.addr.Is6() {
		return unix.GetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_MTU)
	}
	return unix.GetsockoptInt(fd, unix.SOL_IP, unix.IP_MTU)
}
