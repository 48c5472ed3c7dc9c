package inspect

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Question is a route lookup: where would such a packet go?
type Question struct {
	// From and To are its addresses; without From it has none yet.
	From, To netip.Addr
	// In is the interface where it came in; 0 for one that the node sends.
	In int
	// Out is the interface that its socket is bound to; 0 for none. IPv4 takes whatever no
	// route is about for a neighbour there: the answer's Table is 0 then.
	Out int
	// Mark is what rules gave it.
	Mark uint32
	// TOS is the type of service, or the traffic class.
	TOS uint8
	// FlowLabel is that of IPv6, where Labelled says that it is known.
	FlowLabel uint32
	Labelled  bool
	// Protocol is IPPROTO_TCP and so on, and the ports are TCP's, UDP's and UDP-Lite's: rules of
	// policy routing, and multipath routes, may ask for them. The kernel's own lookup takes them of
	// TCP, UDP and ICMP alone.
	Protocol         uint8
	SourcePort, Port uint16
	// Connects is true of a socket that looks for its own address first, and then once
	// more from there, as connect(2) does.
	Connects bool
	// UID is whose socket sends it; 0 is root's.
	UID uint32
}

// Lookup is the kernel's answer. Its errors are answers: ENETUNREACH is no route,
// EHOSTUNREACH an unreachable route, or forwarding that is off, EACCES a prohibit
// route, EINVAL a blackhole route, or a source that may not come in there.
type Lookup struct {
	Errno unix.Errno
	Type  int // RTN_UNICAST, RTN_LOCAL and so on
	Table int
	Via   netip.Addr
	Out   int
	// From is the source that the packet gets, or had.
	From netip.Addr
}

// Next is whom a packet to that address is handed to on the link: a router, or who it
// is for.
func (l Lookup) Next(to netip.Addr) netip.Addr {
	if l.Via.IsValid() {
		return l.Via
	}
	return to
}

// lookup asks the kernel.
func (c *conn) lookup(q Question) (Lookup, error) {
	l, err := c.lookupOnce(q)
	if err == nil && q.Connects && !q.From.IsValid() && l.Errno == 0 && l.From.IsValid() {
		q.From = l.From
		again, err := c.lookupOnce(q)
		again.From = l.From
		return again, err
	}
	return l, err
}

func (c *conn) lookupOnce(q Question) (Lookup, error) {
	const lookupTable = 0x1000 // RTM_F_LOOKUP_TABLE, linux/rtnetlink.h
	header := make([]byte, unix.SizeofRtMsg)
	header[0], header[1], header[3] = unix.AF_INET, uint8(q.To.BitLen()), q.TOS
	if q.To.Is6() {
		header[0] = unix.AF_INET6
	}
	if q.From.IsValid() {
		header[2] = uint8(q.From.BitLen())
	}
	binary.NativeEndian.PutUint32(header[8:], lookupTable)
	answers, err := c.ask(unix.RTM_GETROUTE, 0, header, q.attributes())
	var no refusal
	switch {
	case errors.As(err, &no):
		return Lookup{Errno: no.Errno, From: q.From}, nil
	case err != nil:
		return Lookup{}, err
	case len(answers) == 0:
		return Lookup{Errno: unix.ENODATA, From: q.From}, nil
	}
	return lookupOf(answers[0], q), nil
}

func (q Question) attributes() *netlink.AttributeEncoder {
	a := netlink.NewAttributeEncoder()
	a.Bytes(unix.RTA_DST, q.To.AsSlice())
	if q.From.IsValid() {
		a.Bytes(unix.RTA_SRC, q.From.AsSlice())
	}
	for kind, value := range map[uint16]uint32{unix.RTA_IIF: uint32(q.In), unix.RTA_OIF: uint32(q.Out), unix.RTA_MARK: q.Mark, unix.RTA_UID: q.UID} {
		if value != 0 {
			a.Uint32(kind, value)
		}
	}
	switch q.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP:
		a.Bytes(unix.RTA_SPORT, []byte{byte(q.SourcePort >> 8), byte(q.SourcePort)})
		a.Bytes(unix.RTA_DPORT, []byte{byte(q.Port >> 8), byte(q.Port)})
		fallthrough
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6: // it refuses all others
		a.Uint8(unix.RTA_IP_PROTO, q.Protocol)
	}
	return a
}

// lookupOf reads an answer: struct rtmsg, and attributes.
func lookupOf(data []byte, q Question) Lookup {
	if len(data) < unix.SizeofRtMsg {
		return Lookup{Errno: unix.ENODATA}
	}
	l := Lookup{Type: int(data[7]), Table: int(data[4]), From: q.From}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return Lookup{Errno: unix.ENODATA}
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_OIF:
			l.Out = int(attributes.Uint32())
		case unix.RTA_TABLE:
			l.Table = int(attributes.Uint32())
		case unix.RTA_GATEWAY:
			l.Via = addrOf(attributes.Bytes())
		case unix.RTA_VIA: // a family, and an address of it
			if raw := attributes.Bytes(); len(raw) > 2 {
				l.Via = addrOf(raw[2:])
			}
		case unix.RTA_PREFSRC:
			if !l.From.IsValid() {
				l.From = addrOf(attributes.Bytes())
			}
		}
	}
	return l
}
