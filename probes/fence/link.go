package fence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// frame is how a packet is put on a link by hand.
type frame struct {
	index    int // the interface
	from, to net.HardwareAddr
}

// around puts the Ethernet header before a packet; without a frame it stays as it is.
func (f *frame) around(packet []byte, v6 bool) []byte {
	if f == nil {
		return packet
	}
	kind := uint16(unix.ETH_P_IP)
	if v6 {
		kind = unix.ETH_P_IPV6
	}
	b := append(append([]byte(nil), f.to...), f.from...)
	return append(binary.BigEndian.AppendUint16(b, kind), packet...)
}

// link is an interface by which a node reaches an address, and the MAC of who is next.
type link struct {
	index int
	own   net.HardwareAddr
	from  netip.Addr // the node's address there
	via   netip.Addr
}

// linkTo finds it by the kernel's own lookup.
func linkTo(node *harness.Node, to netip.Addr) (l link, err error) {
	err = node.Do(func() error {
		return inspect.Here(func(ns inspect.Namespace) error {
			way, err := ns.Lookup(inspect.Question{To: to})
			if err == nil && way.Errno != 0 {
				err = way.Errno
			}
			if err != nil {
				return fmt.Errorf("look up %s: %w", to, err)
			}
			at, err := net.InterfaceByIndex(way.Out)
			if err != nil {
				return err
			}
			l = link{way.Out, at.HardwareAddr, way.From, way.Next(to)}
			return nil
		})
	})
	return l, err
}

// macOf is the MAC of the interface that has an address at any of the nodes.
func macOf(nodes []*harness.Node, addr netip.Addr) (mac net.HardwareAddr) {
	for _, node := range nodes {
		_ = node.Do(func() error {
			return inspect.Here(func(ns inspect.Namespace) error {
				addrs, err := ns.Addrs()
				if err != nil {
					return err
				}
				for _, a := range addrs {
					if a.Prefix.Addr() != addr {
						continue
					}
					if at, err := net.InterfaceByIndex(a.Index); err == nil {
						mac = at.HardwareAddr
					}
				}
				return nil
			})
		})
	}
	return mac
}

// frameTo is a packet to an address outside, as a frame of the sandbox's own.
func (c *check) frameTo(to netip.Addr) (f *frame, l link, why string) {
	l, err := linkTo(c.sandbox, to)
	if err != nil {
		return nil, l, err.Error()
	}
	mac := macOf(c.sandbox.Lab().Nodes(), l.via)
	if len(mac) != 6 || len(l.own) != 6 {
		return nil, l, fmt.Sprintf("nobody is known to have %s, which the sandbox sends to", l.via)
	}
	return &frame{l.index, l.own, mac}, l, ""
}

// secondAddress sends from an address of the sandbox's own prefix that it was not given.
func (c *check) secondAddress() (Finding, error) {
	to, ok := addrOf(c.sandbox, c.world.Outside, false)
	if !ok {
		return absent("there is no IPv4 address")
	}
	l, err := linkTo(c.sandbox, to)
	if err != nil || !l.from.Is4() {
		return absent("the sandbox has no way to " + to.String())
	}
	bytes := l.from.As4()
	bytes[3] ^= 0x40
	return c.outward(packet{protocol: wire.UDP, port: dns, source: netip.AddrFrom4(bytes)})
}

// spoofedMAC sends a frame that seems to be another's: an echo request to the gateway, or
// past it where the world names none.
func (c *check) spoofedMAC() (Finding, error) {
	target := c.world.Gateway
	if target == nil {
		target = c.world.Outside
	}
	to, ok := addrOf(c.sandbox, target, false)
	if !ok {
		return absent("there is no IPv4 address")
	}
	f, l, why := c.frameTo(to)
	if f == nil {
		return absent(why)
	}
	f.from = append(net.HardwareAddr(nil), l.own...)
	f.from[5] ^= 0x55
	return c.ask(target, packet{protocol: wire.ICMP, source: l.from, frame: f})
}

// siblingTCP is sent as a frame: it needs no ARP, which may be stopped.
func (c *check) siblingTCP() (Finding, error) {
	f, _, _, why := c.toSibling()
	if why != "" {
		return absent(why)
	}
	l, err := linkTo(c.sandbox, c.siblingAddr())
	if err != nil {
		return Finding{}, err
	}
	return c.ask(c.world.Sibling, packet{protocol: wire.TCP, port: web, source: l.from, frame: f})
}

// siblingLinkLocal asks the sibling at an address that every IPv6 interface has.
func (c *check) siblingLinkLocal() (Finding, error) {
	f, own, to, why := c.toSibling()
	if why != "" {
		return absent(why)
	}
	at := packet{protocol: wire.ICMP, v6: true, to: linkLocal(to), source: linkLocal(own), frame: f}
	got, err := c.send(c.sandbox, c.world.Sibling, at)
	if err != nil {
		return Finding{}, err
	}
	if got.arrived {
		return Finding{State: Open, Detail: fmt.Sprintf("it arrived at %s (%s)", c.world.Sibling, at.to)}, nil
	}
	free, err := linkTo(c.world.Free, c.siblingAddr())
	if err != nil {
		return Finding{State: Unproven, Detail: "the control cannot be sent: " + err.Error()}, nil
	}
	at.source, at.frame = linkLocal(free.own), &frame{free.index, free.own, to}
	control, err := c.send(c.world.Free, c.world.Sibling, at)
	if err != nil {
		return Finding{}, fmt.Errorf("control: %w", err)
	}
	return judge(got, control, c.world.Free, fmt.Sprintf("%s (%s)", c.world.Sibling, at.to)), nil
}

func (c *check) siblingAddr() netip.Addr {
	addr, _ := addrOf(c.sandbox, c.world.Sibling, false)
	return addr
}

// toSibling is a frame to the sibling, which has to be on the sandbox's link.
func (c *check) toSibling() (f *frame, own, to net.HardwareAddr, why string) {
	addr := c.siblingAddr()
	if c.world.Sibling == nil || !addr.IsValid() {
		return nil, nil, nil, "the world names no sibling with an IPv4 address"
	}
	l, err := linkTo(c.sandbox, addr)
	switch {
	case err != nil:
		return nil, nil, nil, err.Error()
	case l.via != addr:
		return nil, nil, nil, "the sibling is behind " + l.via.String()
	}
	if to = macOf([]*harness.Node{c.world.Sibling}, addr); len(to) != 6 || len(l.own) != 6 {
		return nil, nil, nil, "the sibling has no MAC"
	}
	return &frame{l.index, l.own, to}, l.own, to, ""
}

// linkLocal is the address of a MAC (RFC 4291, appendix A), whoever has it.
func linkLocal(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
}

// siblingARP asks who has the sibling's address: a request that arrives is a way in.
func (c *check) siblingARP() (Finding, error) {
	_, _, _, why := c.toSibling()
	if why != "" {
		return absent(why)
	}
	listener, err := arpSocket(c.world.Sibling)
	if err != nil {
		return Finding{}, err
	}
	defer unix.Close(listener)
	asked, err := c.sendARP(c.sandbox)
	if err != nil {
		return Finding{}, err
	}
	control, err := c.sendARP(c.world.Free) // what was sent before has arrived when this has
	if err != nil {
		return Finding{}, fmt.Errorf("control: %w", err)
	}
	heard := hearARP(listener, time.Now().Add(bound), control)
	for request := range hearARP(listener, time.Now().Add(after), asked) {
		heard[request] = true
	}
	f := Finding{State: Blocked, Detail: "no request arrived", Control: fmt.Sprintf("one that %s sent afterwards did", c.world.Free)}
	switch {
	case heard[asked]:
		return Finding{State: Open, Detail: "the request arrived at " + c.world.Sibling.Name()}, nil
	case !heard[control]:
		f.State, f.Control = Unproven, fmt.Sprintf("from %s none arrived either", c.world.Free)
		f.Detail = "the control failed: " + f.Control
	}
	return f, nil
}

// sendARP sends a request for the sibling's address, from an address that nobody has, and
// returns it.
func (c *check) sendARP(from *harness.Node) (request string, err error) {
	target := c.siblingAddr()
	l, err := linkTo(from, target)
	if err != nil {
		return "", err
	}
	sender, err := arpSocket(from)
	if err != nil {
		return "", err
	}
	defer unix.Close(sender)
	asker := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + rand.IntN(254))}) // RFC 5737: nobody's entry is changed
	q := wire.Question{Source: asker, Target: target}
	copy(q.MAC[:], l.own)
	ethernet, mac, packet := q.Build()
	to := &unix.SockaddrLinklayer{Protocol: wire.Network16(ethernet), Ifindex: l.index, Halen: uint8(len(mac))}
	copy(to.Addr[:], mac[:])
	if err := unix.Sendto(sender, packet, 0, to); err != nil {
		return "", fmt.Errorf("send an ARP request from %s: %w", from, err)
	}
	return string(packet), nil
}

// hearARP are the requests that come in until a time, or until one does that is waited for.
func hearARP(listener int, end time.Time, awaited string) map[string]bool {
	heard := map[string]bool{}
	for !heard[awaited] && time.Now().Before(end) {
		wait := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(wait, int(time.Until(end).Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return heard
		}
		var buf [64]byte
		for n := 0; n >= 0; {
			var err error
			if n, _, err = unix.Recvfrom(listener, buf[:], unix.MSG_DONTWAIT); err != nil {
				break
			}
			heard[string(buf[:min(n, len(awaited))])] = true
		}
	}
	return heard
}

func arpSocket(node *harness.Node) (fd int, err error) {
	err = node.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(wire.Network16(unix.ETH_P_ARP)))
		return err
	})
	return fd, err
}
