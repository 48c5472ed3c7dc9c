package probes

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// errNoUser is of a user that the process may not be.
var errNoUser = errors.New("this process cannot have sockets of that user: in a sandbox only users that are mapped can (a range in /etc/subuid, and newuidmap); or run the tests as root")

// open makes a socket as openSocket does, of the source's user, with its options. The
// calling thread, which is locked, is in the asker's namespace.
func (s source) open(v6 bool, kind, protocol int) (fd int, err error) {
	if s.uid.is {
		own := os.Geteuid()
		if err := become(s.uid.n); err != nil {
			return -1, fmt.Errorf("UID(%d): %w", s.uid.n, err)
		}
		defer func() { err = errors.Join(err, become(own)) }()
	}
	if fd, err = openSocket(v6, kind, protocol); err != nil {
		return -1, err
	}
	if err := s.set(fd, v6); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// become changes the user that this thread's next socket is of (setfsuid(2)).
func become(uid int) error {
	for range 2 { // the second time it says whether the first did it
		if was, err := unix.SetfsuidRetUid(uid); err != nil || was == uid {
			return err
		}
	}
	return errNoUser
}

// set sets the options of a socket.
func (s source) set(fd int, v6 bool) error {
	level, ttl, tos := unix.SOL_IP, unix.IP_TTL, unix.IP_TOS
	if v6 {
		level, ttl, tos = unix.SOL_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	if s.ttl.is {
		if err := unix.SetsockoptInt(fd, level, ttl, s.ttl.n); err != nil {
			return fmt.Errorf("TTL(%d): %w", s.ttl.n, err)
		}
	}
	if s.dscp.is {
		if err := unix.SetsockoptInt(fd, level, tos, int(s.tos())); err != nil {
			return fmt.Errorf("DSCP(%d): %w", s.dscp.n, err)
		}
	}
	if s.extended != 0 && v6 {
		if err := s.extended.set(fd); err != nil {
			return err
		}
	}
	if s.fragmented {
		discover, dont := unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT
		if v6 {
			discover, dont = unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT
		}
		if err := unix.SetsockoptInt(fd, level, discover, dont); err != nil {
			return fmt.Errorf("Fragmented(): %w", err)
		}
	}
	if s.mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(s.mark)); err != nil {
			return fmt.Errorf("Mark(%#x): %w", s.mark, err)
		}
	}
	return nil
}

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
	if errors.Is(err, unix.EADDRINUSE) && s.port != 0 {
		return 0, fmt.Errorf("FromPort(%d): another socket of the node has that port: take one that nobody has: %w", s.port, err)
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
