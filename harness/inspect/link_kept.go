package inspect

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// KeptLinks are the interfaces of a namespace as they were read last: they are read again
// when the kernel has told of a change since. For each list of links it takes a lock
// (rtnl) that namespaces which end hold for up to a second, here or in another process.
//
// What the kernel tells late, or not at all, may be old: Carrier, State and Counters.
// The zero KeptLinks are ready, for one namespace.
type KeptLinks struct {
	mu    sync.Mutex
	fd    int // that hears of changes; 0 until it is opened, -1 when it is closed
	known bool
	links []Link
}

// errClosed is of links that nobody keeps any more.
var errClosed = errors.New("the namespace is gone")

// Read returns the interfaces. The slice is the caller's. The errors are those of Links, and of
// opening a socket.
func (k *KeptLinks) Read(ns Namespace) ([]Link, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.fd < 0:
		return nil, errClosed
	case k.fd == 0:
		if err := ns.Do(k.open); err != nil {
			return nil, fmt.Errorf("hear of links: %w", err)
		}
	}
	for tries := 0; ; tries++ {
		if !Drain(k.fd) && k.known {
			return slices.Clone(k.links), nil
		}
		links, err := ns.Links()
		if errors.Is(err, netlink.ErrDumpInterrupted) && tries < mostTries {
			continue
		}
		k.links, k.known = links, err == nil
		if err != nil || tries >= mostTries {
			return slices.Clone(links), err
		}
	}
}

// open opens the socket in the calling thread's namespace.
func (k *KeptLinks) open() error {
	fd, err := Hear(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return err
	}
	const least = 4 << 10 // bytes: only whether something came counts
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, least); err != nil {
		_ = unix.Close(fd)
		return err
	}
	k.fd = fd
	return nil
}

// Close closes the socket.
func (k *KeptLinks) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fd > 0 {
		_ = unix.Close(k.fd)
	}
	k.fd = -1
}
