package inspect

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// WireGuard is what an interface of that kind is told, but for what is secret: wg(8).
type WireGuard struct {
	Index int    // of the interface
	Key   string // public; "" for none
	Port  int    // of UDP
	Mark  uint32
	Peers []WireGuardPeer
}

// WireGuardPeer is another end.
type WireGuardPeer struct {
	Key      string // public
	Endpoint netip.AddrPort
	// Handshake is when the latest was done; the zero Time is never.
	Handshake      time.Time
	Received, Sent uint64 // bytes
	// Allowed is what it may send from, and what is sent to it.
	Allowed []netip.Prefix
}

// Peer is the one to which packets to an address are sent, and which alone may send from it:
// that with the longest prefix.
func (w WireGuard) Peer(addr netip.Addr) (peer WireGuardPeer, has bool) {
	longest := -1
	for _, p := range w.Peers {
		for _, prefix := range p.Allowed {
			if prefix.Contains(addr) && prefix.Bits() > longest {
				peer, longest = p, prefix.Bits()
			}
		}
	}
	return peer, longest >= 0
}

// WireGuardOf is what is known of an interface.
func (s *State) WireGuardOf(index int) (WireGuard, bool) {
	at := slices.IndexFunc(s.WireGuard, func(w WireGuard) bool { return w.Index == index })
	if at < 0 {
		return WireGuard{}, false
	}
	return s.WireGuard[at], true
}

// WireGuards are those of the namespace among links.
func (ns Namespace) WireGuards(links []Link) (all []WireGuard, err error) {
	links = slices.DeleteFunc(slices.Clone(links), func(l Link) bool { return l.Kind != "wireguard" })
	if len(links) == 0 {
		return nil, nil
	}
	err = ns.Do(func() error {
		family, err := netlink.GenlFamilyGet(unix.WG_GENL_NAME)
		if err != nil {
			return err
		}
		for _, l := range links {
			w, err := readWireGuard(int(family.ID), l.Index)
			switch {
			case errors.Is(err, unix.ENODEV): // it has gone since
			case err != nil:
				return fmt.Errorf("%s: %w", l.Name, err)
			default:
				all = append(all, w)
			}
		}
		return nil
	})
	return all, err
}

// readWireGuard asks in the calling thread's namespace. Of one with many peers there are
// several answers, of which a later one may go on with the last peer.
func readWireGuard(family, index int) (WireGuard, error) {
	w := WireGuard{Index: index}
	request := nl.NewNetlinkRequest(family, unix.NLM_F_DUMP)
	request.AddData(&nl.Genlmsg{Command: unix.WG_CMD_GET_DEVICE, Version: unix.WG_GENL_VERSION})
	request.AddData(nl.NewRtAttr(unix.WGDEVICE_A_IFINDEX, nl.Uint32Attr(uint32(index))))
	answers, err := request.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return w, err
	}
	for _, answer := range answers {
		if len(answer) < nl.SizeofGenlmsg {
			continue
		}
		if err := w.read(answer[nl.SizeofGenlmsg:]); err != nil {
			return w, err
		}
	}
	return w, nil
}

// read adds what an answer says.
func (w *WireGuard) read(attributes []byte) error {
	return eachAttribute(attributes, func(a *mdlayher.AttributeDecoder) error {
		switch a.Type() {
		case unix.WGDEVICE_A_PUBLIC_KEY:
			w.Key = base64.StdEncoding.EncodeToString(a.Bytes())
		case unix.WGDEVICE_A_LISTEN_PORT:
			w.Port = int(a.Uint16())
		case unix.WGDEVICE_A_FWMARK:
			w.Mark = a.Uint32()
		case unix.WGDEVICE_A_PEERS:
			return eachAttribute(a.Bytes(), func(a *mdlayher.AttributeDecoder) error { return w.readPeer(a.Bytes()) })
		}
		return nil
	})
}

func (w *WireGuard) readPeer(attributes []byte) error {
	var p WireGuardPeer
	err := eachAttribute(attributes, func(a *mdlayher.AttributeDecoder) error {
		switch a.Type() {
		case unix.WGPEER_A_PUBLIC_KEY:
			p.Key = base64.StdEncoding.EncodeToString(a.Bytes())
		case unix.WGPEER_A_ENDPOINT:
			p.Endpoint = endpointOf(a.Bytes())
		case unix.WGPEER_A_LAST_HANDSHAKE_TIME:
			if raw := a.Bytes(); len(raw) >= 16 { // struct __kernel_timespec
				seconds, nanoseconds := binary.NativeEndian.Uint64(raw), binary.NativeEndian.Uint64(raw[8:])
				if seconds != 0 || nanoseconds != 0 {
					p.Handshake = time.Unix(int64(seconds), int64(nanoseconds))
				}
			}
		case unix.WGPEER_A_RX_BYTES:
			p.Received = a.Uint64()
		case unix.WGPEER_A_TX_BYTES:
			p.Sent = a.Uint64()
		case unix.WGPEER_A_ALLOWEDIPS:
			return eachAttribute(a.Bytes(), func(a *mdlayher.AttributeDecoder) error {
				prefix, err := allowedOf(a.Bytes())
				p.Allowed = append(p.Allowed, prefix)
				return err
			})
		}
		return nil
	})
	if last := len(w.Peers) - 1; last >= 0 && w.Peers[last].Key == p.Key {
		w.Peers[last].Allowed = append(w.Peers[last].Allowed, p.Allowed...)
		return err
	}
	w.Peers = append(w.Peers, p)
	return err
}

// endpointOf reads a struct sockaddr_in or sockaddr_in6; the zero AddrPort is none.
func endpointOf(raw []byte) netip.AddrPort {
	const port, addr4, addr6 = 2, 4, 8
	switch {
	case len(raw) >= unix.SizeofSockaddrInet6 && binary.NativeEndian.Uint16(raw) == unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[addr6:addr6+16])), binary.BigEndian.Uint16(raw[port:]))
	case len(raw) >= unix.SizeofSockaddrInet4 && binary.NativeEndian.Uint16(raw) == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[addr4:addr4+4])), binary.BigEndian.Uint16(raw[port:]))
	}
	return netip.AddrPort{}
}

func allowedOf(attributes []byte) (prefix netip.Prefix, err error) {
	var addr netip.Addr
	bits := 0
	err = eachAttribute(attributes, func(a *mdlayher.AttributeDecoder) error {
		switch a.Type() {
		case unix.WGALLOWEDIP_A_IPADDR:
			addr, _ = netip.AddrFromSlice(a.Bytes())
		case unix.WGALLOWEDIP_A_CIDR_MASK:
			bits = int(a.Uint8())
		}
		return nil
	})
	return netip.PrefixFrom(addr, bits), err
}

// eachAttribute calls f for each of a list.
func eachAttribute(list []byte, f func(*mdlayher.AttributeDecoder) error) error {
	attributes, err := mdlayher.NewAttributeDecoder(list)
	if err != nil {
		return err
	}
	for attributes.Next() {
		if err := f(attributes); err != nil {
			return err
		}
	}
	return attributes.Err()
}

// String is the interface as wg(8) shows it, without its peers.
func (w WireGuard) String() string {
	text := fmt.Sprintf("public key %s, port %d", w.Key, w.Port)
	if w.Mark != 0 {
		text += fmt.Sprintf(", fwmark %#x", w.Mark)
	}
	return text
}

// String is the peer as wg(8) has it, without its endpoint, which may move.
func (p WireGuardPeer) String() string {
	return fmt.Sprintf("peer %s, allowed %v", p.Key, p.Allowed)
}
