package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Listener is a socket that anybody may send to: a listening one of TCP, or one of UDP
// or UDP-Lite that is not connected.
type Listener struct {
	// Addr is where it listens: the zero address of its family is every one.
	Addr netip.Addr
	Port uint16
	// Device is the index of the interface that it is bound to; 0 for every one. An
	// interface may be a VRF.
	Device int
	// V6Only is true of one of IPv6 that takes no IPv4, where it listens everywhere.
	V6Only bool
	// Waiting are the connections that wait to be accepted, and Most how many may; 0 of
	// UDP and UDP-Lite.
	Waiting, Most uint32
	// Unread are the bytes, as the kernel counts them, that wait to be read; 0 of TCP.
	Unread uint32
	// Drops are the packets that the socket itself has dropped: that its filter or a limit of
	// it keeps out, or that it has no room for. 0 where the kernel does not tell.
	Drops uint32
}

// Takes says whether the socket takes what is sent to an address of the namespace, and
// came in at an interface.
func (s *State) Takes(l Listener, to netip.Addr, in int) bool {
	if l.Device != 0 && l.Device != in && l.Device != s.Link(in).Master {
		return false
	}
	if addr := l.Addr.Unmap(); !addr.IsUnspecified() {
		return addr == to
	}
	return l.Addr.Is6() == to.Is6() || l.Addr.Is6() && !l.V6Only
}

// Only says what keeps the sockets of a port from taking everything: "listens at
// 127.0.0.1 and at interface lan only"; "" where nothing keeps one.
func (s *State) Only(all ...Listener) string {
	var wheres []string
	for _, l := range all {
		where := s.only(l)
		if where == "" {
			return ""
		}
		if !slices.Contains(wheres, where) {
			wheres = append(wheres, where)
		}
	}
	if len(wheres) == 0 {
		return ""
	}
	return "listens " + strings.Join(wheres, " and ") + " only"
}

// only is where one of them listens; "" is everywhere.
func (s *State) only(l Listener) string {
	switch {
	case !l.Addr.IsUnspecified():
		return fmt.Sprintf("at %s", l.Addr.Unmap())
	case l.Device != 0:
		return fmt.Sprintf("at interface %s", s.Link(l.Device).Name)
	case l.Addr.Is4():
		return "for IPv4"
	case l.V6Only:
		return "for IPv6"
	}
	return ""
}

// Listens says whether somebody listens at a TCP port, at any address.
func (s *State) Listens(port uint16) bool {
	return slices.ContainsFunc(s.Listeners, func(l Listener) bool { return l.Port == port })
}

// readDatagrams reads the sockets of UDP, or UDP-Lite, that are not connected. The calling thread
// is in the namespace. A kernel may have no sock_diag(7) for them (UDP_DIAG): its table in
// /proc does not tell interfaces.
func readDatagrams(protocol byte, file string) []Listener {
	const unconnected = 1 << 7 // TCP_CLOSE in net/tcp_states.h
	found, err := diagnose(protocol, unconnected)
	if err == nil {
		return found
	}
	found = []Listener{}
	for _, file := range []string{file, file + "6"} {
		text, _ := os.ReadFile(procNet + file)
		for _, socket := range socketsOf(file, string(text)) {
			if socket.State == "UNCONNECTED" {
				found = append(found, Listener{Addr: socket.Local.Addr(), Port: socket.Local.Port(), Unread: uint32(socket.ToRead)})
			}
		}
	}
	return found
}

// readListeners reads the listening TCP sockets: only those, since the table of all
// others is the whole machine's. The calling thread is in the namespace.
func (s *State) readListeners() (err error) {
	const listen = 1 << 10 // TCPF_LISTEN in net/tcp_states.h
	if s.Listeners, err = diagnose(unix.IPPROTO_TCP, listen); err != nil {
		return fmt.Errorf("list listeners: %w", err)
	}
	return nil
}

// HasDatagrams says whether the kernel has sockets for the datagrams of a protocol, as UDP-Lite.
func HasDatagrams(protocol int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	return unix.Close(fd)
}

// diagnose asks for the sockets of a protocol that are in some states, of both
// families.
func diagnose(protocol byte, states uint32) ([]Listener, error) {
	const requestSize = 56 // struct inet_diag_req_v2: its third byte asks for attributes
	found := []Listener{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, requestSize)
		request[0], request[1], request[2] = family, protocol, 1<<(memory-1)
		binary.NativeEndian.PutUint32(request[4:], states)
		r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		r.AddRawData(request)
		err := r.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(m []byte) bool {
			if l, ok := listenerOf(m); ok {
				found = append(found, l)
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// memory is INET_DIAG_SKMEMINFO.
const memory = 7

// listenerOf reads struct inet_diag_msg and the attributes that tell whether it takes
// IPv6 alone, and what it has dropped.
func listenerOf(m []byte) (Listener, bool) {
	const (
		messageSize = 72
		v6Only      = 11 // INET_DIAG_SKV6ONLY
		drops       = 32 // SK_MEMINFO_DROPS, in numbers of 32 bits
	)
	if len(m) < messageSize {
		return Listener{}, false
	}
	l := Listener{
		Addr: netip.AddrFrom4([4]byte(m[8:12])), Port: binary.BigEndian.Uint16(m[4:]), Device: int(binary.NativeEndian.Uint32(m[40:])),
		Waiting: binary.NativeEndian.Uint32(m[56:]), Most: binary.NativeEndian.Uint32(m[60:]),
	}
	if m[0] == unix.AF_INET6 {
		l.Addr = netip.AddrFrom16([16]byte(m[8:24]))
	}
	if m[1] == 7 { // one of UDP
		l.Waiting, l.Most, l.Unread = 0, 0, l.Waiting
	}
	attributes, err := nl.ParseRouteAttr(m[messageSize:])
	if err != nil {
		return Listener{}, false
	}
	for _, a := range attributes {
		switch {
		case a.Attr.Type == v6Only && len(a.Value) > 0:
			l.V6Only = a.Value[0] != 0
		case a.Attr.Type == memory && len(a.Value) >= drops+4:
			l.Drops = binary.NativeEndian.Uint32(a.Value[drops:])
		}
	}
	return l, true
}
