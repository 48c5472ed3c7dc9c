package probes

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// bind gives the probe's socket the source that was chosen for it, if any, and tells the
// watch the port, so that the first packet is known.
func (a *asking) bind(fd int) error {
	if !a.source.IsValid() && a.sourcePort == 0 {
		return a.watched.bind(a, fd)
	}
	if err := a.bindSource(fd); err != nil || a.watched == nil {
		return err
	}
	own, err := unix.Getsockname(fd)
	if err != nil {
		return err
	}
	a.watched.flow.SourcePort = addrPortOf(own).Port()
	a.watched.follow()
	return nil
}

// bindSource binds a socket to the chosen source.
func (a *asking) bindSource(fd int) error {
	if a.addr.Is4() {
		own := &unix.SockaddrInet4{Port: int(a.sourcePort)}
		if a.source.IsValid() {
			own.Addr = a.source.As4()
		}
		return unix.Bind(fd, own)
	}
	own := &unix.SockaddrInet6{Port: int(a.sourcePort)}
	if a.source.IsValid() {
		own.Addr = a.source.As16()
		if a.source.IsLinkLocalUnicast() {
			own.ZoneId = a.sourceScope
		}
	}
	return unix.Bind(fd, own)
}

// sendFrom chooses the source of a probe: an address of the asker's, which has a zone where it
// is link-local, and a port; the zero values leave them to the kernel.
func (a *asking) sendFrom(source netip.Addr, port uint16) (err error) {
	a.sourcePort = port
	if !source.IsValid() {
		return nil
	}
	a.source, a.result.source = source.WithZone(""), source.WithZone("")
	if source.Zone() != "" {
		a.sourceScope, err = scopeOf(a.from, source)
	}
	return err
}

// icmpFrom asks with one echo request from a chosen source, over a socket of its own.
func (a *asking) icmpFrom() error {
	var e *echoes
	err := a.from.Do(func() (err error) {
		e, err = openOne(a.from, a.addr.Is6())
		return err
	})
	if err != nil {
		return err
	}
	defer e.close()
	if err := a.bindSource(e.fd); err != nil {
		a.begin()
		return a.refusedLocally(err)
	}
	return a.echo(e)
}
