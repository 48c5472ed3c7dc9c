package inspect

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// KeptOwn is what a namespace takes for its own, as it was read last: its addresses, and what
// routes of type local make its own besides (State.Owns). It is read again when the kernel has told of a
// change since. One goroutine may use it at a time.
type KeptOwn struct {
	fd    int // that hears of changes
	known bool
	own   []netip.Prefix
}

// KeepOwn opens the socket that hears of changes, in the calling thread's namespace.
func KeepOwn() (*KeptOwn, error) {
	fd, err := Hear(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("hear of addresses: %w", err)
	}
	const least = 4 << 10 // bytes: only whether something came counts
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, least); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("hear of addresses: %w", err)
	}
	return &KeptOwn{fd: fd}, nil
}

// Socket is the descriptor that is ready to be read when something has changed.
func (k *KeptOwn) Socket() int { return k.fd }

// Known says whether what was read is so still.
func (k *KeptOwn) Known() bool {
	if Drain(k.fd) {
		k.known = false
	}
	return k.known
}

// Read reads it. The calling thread is in the namespace.
func (k *KeptOwn) Read() error {
	return Here(func(ns Namespace) error {
		for tries := 0; ; tries++ {
			own, err := ns.own()
			if still := !Drain(k.fd); still && err == nil || tries == mostTries {
				k.own, k.known = own, still && err == nil
				return err
			}
			if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
				return err
			}
		}
	})
}

// own are the prefixes that are the namespace's.
func (ns Namespace) own() (own []netip.Prefix, err error) {
	addrs, err := ns.Addrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		own = append(own, netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen()))
	}
	local, err := ns.Local()
	if err != nil {
		return nil, fmt.Errorf("list routes of type local: %w", err)
	}
	for _, r := range local {
		own = append(own, r.To)
	}
	return own, nil
}

// Owns says whether an address is the namespace's, as it was read.
func (k *KeptOwn) Owns(addr netip.Addr) bool {
	return slices.ContainsFunc(k.own, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// Close closes the socket.
func (k *KeptOwn) Close() {
	_ = unix.Close(k.fd)
}
