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
	mu     sync.Mutex
	fd     int // that hears of changes; 0 until it is opened, -1 when it is closed
	known  bool
	links  []Link
	buffer [1]byte
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
		if !k.changed() && k.known {
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
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	const least = 4 << 10 // bytes: only whether something came counts
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, least),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}))
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	k.fd = fd
	return nil
}

// changed says whether the kernel has told of a change, or of too many to keep (ENOBUFS),
// and takes note of it.
func (k *KeptLinks) changed() (told bool) {
	for {
		switch _, _, err := unix.Recvfrom(k.fd, k.buffer[:], unix.MSG_TRUNC); {
		case errors.Is(err, unix.EAGAIN):
			return told
		case errors.Is(err, unix.EINTR):
		default:
			told = true
		}
	}
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
