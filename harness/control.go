package harness

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// controlPause is how long a control waits before it asks again. The kernel
	// itself would wait a second (retrans_time_ms).
	controlPause = 5 * time.Millisecond
	// controlBound is when Up gives up. A kernel that clears up hundreds of
	// namespaces may hold the rtnl lock for a second.
	controlBound = 20 * time.Second
	// relayedBound is when it does over a switch that is a program, which waits for that lock
	// whenever it looks at its interfaces.
	relayedBound = 60 * time.Second
	// stallBound is when it gives up where the kernel itself has not made an address usable:
	// for all namespaces of a machine one work item after another does so, and each waits
	// for that lock.
	stallBound = 2 * time.Minute
	// looks is how often a control looks for that until controlBound.
	looks = 20
	// bindBound is how long a control waits for its port to have its own link-local
	// address. One that the port has and cannot yet use is waited for until stallBound.
	bindBound = 3 * time.Second
)

// answered asks all questions until each has its answer: the only retry in the
// library. The sockets are made by one thread that steps through the namespaces.
func answered(questions []question) error {
	controls := map[controlKey]*control{}
	defer func() {
		for _, c := range controls {
			c.close()
		}
	}()
	if len(questions) == 0 {
		return nil
	}
	err := once(func() error { return nil }, func() error {
		for _, q := range questions {
			key := controlKey{q.asker, q.target.Is6()}
			if controls[key] != nil {
				continue
			}
			if err := q.ground.enter(); err != nil {
				return err
			}
			c, err := newControl(q)
			if err != nil {
				return at(err, "segment %s: node %s: open control socket", q.segment, q.asker.node)
			}
			controls[key] = c
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, q := range questions {
		c := controls[controlKey{q.asker, q.target.Is6()}]
		c.waiting[q.target] = q
	}
	for _, c := range controls {
		if err := c.run(); err != nil {
			return err
		}
	}
	return nil
}

type controlKey struct {
	asker spot
	ipv6  bool
}

// control asks from one port: neighbour solicitations (RFC 4861) on a raw
// ICMPv6 socket, ARP requests (RFC 826) on a packet socket.
type control struct {
	fd      int
	rtnl    *rtnl
	index   int
	ipv6    bool
	mac     [6]byte // the port's
	bound   bool    // it asks from the port's link-local address
	patient time.Duration
	waiting map[netip.Addr]question
}

const (
	neighborSolicitation  = 135
	neighborAdvertisement = 136
)

// newControl opens the socket in the calling thread's namespace.
func newControl(q question) (*control, error) {
	c := &control{
		fd: -1, rtnl: q.ground.rtnl, index: q.index, ipv6: q.target.Is6(), mac: q.mac, patient: controlBound, waiting: map[netip.Addr]question{},
	}
	var err error
	if !c.ipv6 {
		c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ARP)))
	} else if c.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6); err == nil {
		only := &unix.ICMPv6Filter{}
		for i := range only.Data {
			only.Data[i] = ^uint32(0) // a set bit blocks
		}
		only.Data[neighborAdvertisement>>5] &^= 1 << (neighborAdvertisement & 31)
		err = unix.SetsockoptICMPv6Filter(c.fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, only)
		if err == nil {
			err = unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255) // RFC 4861, 7.1.1
		}
	}
	if err == nil {
		pause := unix.NsecToTimeval(controlPause.Nanoseconds())
		err = unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &pause)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// close is done beside: a packet socket's takes an RCU grace period.
func (c *control) close() {
	if c.fd >= 0 {
		go func() { _ = unix.Close(c.fd) }()
	}
}

// run asks until every address has answered.
func (c *control) run() error {
	start, buf := time.Now(), make([]byte, 1500)
	looked, usable := start, 0 // how often it was found so
	for len(c.waiting) > 0 {
		var one question
		mayAsk := c.bindOwn() || time.Since(start) > bindBound && !c.ownIsComing()
		for _, q := range c.waiting {
			if one = q; mayAsk {
				_ = c.ask(q) // not yet possible is no error: it is asked again
			}
		}
		for len(c.waiting) > 0 {
			n, _, err := unix.Recvfrom(c.fd, buf, 0)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				break // nothing more for now
			}
			delete(c.waiting, c.answerer(buf[:n]))
		}
		if len(c.waiting) == 0 || time.Since(looked) < c.patient/looks {
			continue
		}
		usable++
		if looked = time.Now(); c.stalled(one) {
			usable = 0
		}
		patient := c.patient
		if one.relayed {
			patient = relayedBound
		}
		if took := looked.Sub(start); took > stallBound || took > patient && usable >= looks {
			return fmt.Errorf("segment %s: %s of node %s does not answer node %s on the link after %s",
				one.segment, one.target, one.at.node, one.asker.node, took.Round(time.Second))
		}
	}
	return nil
}

// stalled says whether a kernel is to blame that has not come to make usable what asks, or
// what is asked for.
func (c *control) stalled(q question) bool {
	switch {
	case !c.ipv6:
		return false
	case !c.bound && c.ownIsComing():
		return true
	case q.home == nil || !isGiven(q.home.rtnl, q.homeIndex, q.target):
		return false
	}
	local, err := q.home.hasLocal(q.homeIndex, q.target)
	return err == nil && !local
}

// bindOwn has an IPv6 control ask from its port's link-local address, as soon as that
// is usable. Who is asked learns where the question came from: from another address
// it would be a neighbour that the test finds known. It is not waited for for ever,
// since somebody may have given the port another one (addr_gen_mode).
func (c *control) bindOwn() bool {
	if !c.ipv6 || c.bound {
		return true
	}
	own := &unix.SockaddrInet6{ZoneId: uint32(c.index), Addr: linkLocal(c.mac).As16()}
	c.bound = unix.Bind(c.fd, own) == nil
	return c.bound
}

// ownIsComing says whether the port has the link-local address of its MAC, though it
// is not usable (tentative): the work item that makes it so waits for the rtnl lock,
// for seconds where a machine clears up many namespaces. So does the one that gives the port
// its address, when it has a carrier: a GETLINK does that work now.
func (c *control) ownIsComing() bool { return isGiven(c.rtnl, c.index, linkLocal(c.mac)) }

// isGiven says whether an interface has an IPv6 address, usable or not.
func isGiven(rtnl *rtnl, index int, addr netip.Addr) bool {
	b := new(batch)
	b.getLink(index, describe("look at link"))
	b.getAddr(index, addr, describe("look at address %s", addr))
	return rtnl.do(b) == nil
}

func (c *control) ask(q question) error {
	if c.ipv6 {
		group := netip.MustParseAddr("ff02::1:ff00:0").As16() // RFC 4291, 2.7.1
		target := q.target.As16()
		copy(group[13:], target[13:])
		return unix.Sendto(c.fd, solicitation(q), 0, &unix.SockaddrInet6{Addr: group, ZoneId: uint32(c.index)})
	}
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ARP), Ifindex: c.index, Halen: 6}
	copy(to.Addr[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	return unix.Sendto(c.fd, arpRequest(q), 0, to)
}

// solicitation is a neighbour solicitation; the kernel adds the checksum.
func solicitation(q question) []byte {
	packet := make([]byte, 32)
	packet[0] = neighborSolicitation
	target := q.target.As16()
	copy(packet[8:], target[:])
	packet[24], packet[25] = 1, 1 // source link-layer address, in units of 8 bytes
	copy(packet[26:], q.mac[:])
	return packet
}

func arpRequest(q question) []byte {
	packet := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, request
	var source [4]byte                       // none, as in an ARP probe (RFC 5227): who answers it learns no neighbour
	target := q.target.As4()
	packet = append(append(packet, q.mac[:]...), source[:]...)
	return append(append(packet, make([]byte, 6)...), target[:]...)
}

// answerer is the address that a packet answers for; the zero Addr is none.
func (c *control) answerer(packet []byte) netip.Addr {
	if c.ipv6 {
		if len(packet) >= 24 && packet[0] == neighborAdvertisement {
			return netip.AddrFrom16([16]byte(packet[8:24]))
		}
		return netip.Addr{}
	}
	if len(packet) >= 28 && binary.BigEndian.Uint16(packet[6:]) == 2 {
		return netip.AddrFrom4([4]byte(packet[14:18]))
	}
	return netip.Addr{}
}

// htons is a protocol number as sockaddr_ll has it: big-endian bytes.
func htons(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
