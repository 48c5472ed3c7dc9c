package truth_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// try is a question that a plain socket asks.
type try struct {
	from string
	src  netip.Addr // the zero Addr is the kernel's choice
	to   netip.Addr
	kind string
	port uint16
	// sport is the source port; 0 is any. uid is whose socket it is.
	sport uint16
	uid   int
	// device is what its socket is bound to.
	device string
	// odd is what another program may choose: a few bytes, another TTL, TOS, a source port
	// that no kernel chooses.
	odd bool
	// neighbours is what kernels know of them; plain is what they know by what came before.
	neighbours acquaintance
}

// plain says whether it is as the kernel has it.
func (t try) plain() bool { return t.bare() && t.neighbours == asTheyCame }

// bare says whether its program chooses nothing.
func (t try) bare() bool {
	return !t.src.IsValid() && t.sport == 0 && t.uid == 0 && t.device == "" && !t.odd
}

// What an odd try has: a TTL that is not 64, and a type of service that is not 0.
const (
	oddTTL = 99
	oddTOS = 0x10
)

// fact is what came of a try.
type fact struct {
	try
	unsent    error
	arrived   map[string]int  // packets of the request that were delivered, by node
	connected []string        // of TCP: nodes that had a connection of it in their socket list
	accepted  map[string]bool // whose plain service had the connection, or read the datagram
	by        string          // who says in the answer that it is
	answered  bool            // an answer came from the address that was asked
	began     time.Time       // when it was asked
	took      time.Duration   // until the answer was read
	opened    bool            // of TCP: connected
	before    count           // the kernels' counters, before it was asked
}

func (f fact) String() string {
	source := ""
	if f.src.IsValid() {
		source = " from " + f.src.String()
	}
	if f.sport > 0 {
		source += fmt.Sprintf(" from port %d", f.sport)
	}
	if f.uid > 0 {
		source += fmt.Sprintf(" as user %d", f.uid)
	}
	if f.device != "" {
		source += " by " + f.device
	}
	if f.odd {
		source += " with another port, TTL, TOS, and few bytes"
	}
	if f.neighbours != asTheyCame {
		source += ", " + string(f.neighbours) + ","
	}
	text := fmt.Sprintf("%s%s asks %s %s/%d: ", f.from, source, f.to, f.kind, f.port)
	switch {
	case f.answered:
		text += fmt.Sprintf("answered by %s after %v", f.by, f.took.Round(time.Millisecond))
	case f.opened:
		text += "connected, but no answer"
	case f.unsent != nil:
		text += f.unsent.Error()
	default:
		text += "no answer"
	}
	return text + fmt.Sprintf(", delivered at %v, read at %v, connected to %v", f.arrived, slices.Sorted(maps.Keys(f.accepted)), f.connected)
}

// choose sets what the try's program chooses.
func (t try) choose(_, _ string, conn syscall.RawConn) error {
	var errs []error
	err := conn.Control(func(fd uintptr) {
		if t.device != "" {
			errs = append(errs, unix.BindToDevice(int(fd), t.device))
		}
		if t.src.Is6() {
			errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1)) // it may be a route's
		}
		switch {
		case !t.odd:
		case t.to.Is6():
			errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, oddTTL), unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_TCLASS, oddTOS))
		default:
			errs = append(errs, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TTL, oddTTL), unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, oddTOS))
		}
	})
	return errors.Join(append(errs, err)...)
}

// dial opens a socket in the asker's node.
func (o *oracle) dial(ctx context.Context, network string, t try) (conn net.Conn, err error) {
	at := netip.AddrPortFrom(t.to, t.port)
	if t.bare() {
		return o.lab.Node(t.from).Dial(ctx, network, at)
	}
	src := t.src
	if !src.IsValid() {
		src = map[bool]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[t.to.Is6()]
	}
	err = o.lab.Node(t.from).Do(func() error {
		defer as(t.uid)()
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, t.sport)), FallbackDelay: -1, Control: t.choose}
		if network == udp {
			dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, t.sport))
		}
		conn, err = dialer.DialContext(ctx, network, at.String())
		return err
	})
	return conn, err
}
