package probes

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// source is what a probe is sent from: an address of the asker, with the index of its
// interface where it is link-local, a device, and a port. Zero values are the kernel's choice.
type source struct {
	addr   netip.Addr // without a zone
	scope  uint32
	device string
	port   uint16
}

// chosen says whether an address or a device was chosen.
func (s source) chosen() bool { return s.addr.IsValid() || s.device != "" }

// bind binds a socket to the source, and returns its port, or id.
func (s source) bind(fd int, v6 bool) (port uint16, err error) {
	if s.device != "" { // each unbind forgets it
		if err := unix.BindToDevice(fd, s.device); err != nil {
			return 0, err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
			return 0, err
		}
	}
	var at unix.Sockaddr
	if v6 {
		own := &unix.SockaddrInet6{Port: int(s.port), ZoneId: s.scope}
		if s.addr.IsValid() {
			own.Addr = s.addr.As16()
		}
		at = own
	} else {
		own := &unix.SockaddrInet4{Port: int(s.port)}
		if s.addr.IsValid() {
			own.Addr = s.addr.As4()
		}
		at = own
	}
	if s.port != 0 { // several probes have it at once, to other addresses or ports
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return 0, err
		}
	}
	err = unix.Bind(fd, at)
	if errors.Is(err, unix.EADDRNOTAVAIL) && v6 {
		// IPv4 takes what a route of type local has for an address; IPv6 where a program asks.
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1); err == nil {
			err = unix.Bind(fd, at)
		}
	}
	if err != nil {
		return 0, err
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return addrPortOf(own).Port(), nil
}

// sendFrom chooses the source of a probe: an address of the asker's, which has a zone where it
// is link-local, a device, and a port; the zero values leave them to the kernel.
func (a *asking) sendFrom(addr netip.Addr, device string, port uint16) (err error) {
	a.source, a.result.sourcePort, a.result.device = source{device: device, port: port}, port, device
	if !addr.IsValid() {
		return nil
	}
	a.source.addr, a.result.source = addr.WithZone(""), addr.WithZone("")
	if addr.Zone() != "" {
		a.source.scope, err = scopeOf(a.from, addr)
	}
	return err
}
