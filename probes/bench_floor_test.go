package probes_test

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// The floor: the same packets by hand, with bare system calls on a thread that is
// in the namespace already. It has no outcomes and no errors worth reading: what
// a probe costs above it is what the package costs.

// floorEcho makes an echo request with its checksum of a packet of zeros: 64
// bytes have a payload of 56, as ping(8).
func floorEcho(packet []byte, id, seq uint16) []byte {
	packet[0] = 8
	binary.BigEndian.PutUint16(packet[4:], id)
	binary.BigEndian.PutUint16(packet[6:], seq)
	sum := uint32(packet[0])<<8 + uint32(id) + uint32(seq)
	for sum>>16 != 0 {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(packet[2:], ^uint16(sum))
	return packet
}

// floorSocket is a raw socket that hears echo replies.
func floorSocket() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		panic(err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_RAW, 1, ^1); err != nil { // ICMP_FILTER
		panic(err)
	}
	return fd
}

// floorAskICMP opens a socket, sends an echo request, waits for the reply, and
// closes the socket.
func floorAskICMP(seq uint16, to unix.Sockaddr, buf []byte) {
	fd := floorSocket()
	defer unix.Close(fd)
	request := floorEcho(make([]byte, 64), 7, seq)
	if err := unix.Sendto(fd, request, 0, to); err != nil {
		panic(err)
	}
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
		} else if err != nil {
			panic(err)
		} else if n == 84 && [4]byte(buf[24:28]) == [4]byte(request[4:8]) {
			return
		}
	}
}

// floorSurvey is the echo request of every pair, over one socket a node, sent
// without waiting: each of two workers has half of the nodes.
func floorSurvey(b *testing.B, nodes []*harness.Node) {
	var addrs []*unix.SockaddrInet4
	for _, node := range nodes {
		addrs = append(addrs, &unix.SockaddrInet4{Addr: node.Addr().As4()})
	}
	fds := make([]int, len(nodes))
	i := 0
	err := harness.Visit(nodes, func(*harness.Node) error {
		fds[i] = floorSocket()
		i++
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var workers sync.WaitGroup
	for worker := range 2 {
		workers.Go(func() {
			buf := make([]byte, 128)
			for i := worker; i < len(fds); i += 2 {
				floorRound(fds[i], i, addrs, buf)
			}
		})
	}
	workers.Wait()
}

func floorRound(fd, self int, addrs []*unix.SockaddrInet4, buf []byte) {
	packet := make([]byte, 64)
	missing, unsent := len(addrs)-1, len(addrs)-1
	read := func() {
		for missing > unsent {
			if _, err := unix.Read(fd, buf); err != nil {
				return
			}
			missing--
		}
	}
	for i, addr := range addrs {
		if i == self {
			continue
		}
		if err := unix.Sendto(fd, floorEcho(packet, 7, uint16(i)), 0, addr); err != nil {
			panic(err)
		}
		unsent--
		read()
	}
	for missing > 0 {
		if n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000); n == 0 {
			panic("floor: an echo was not answered")
		}
		read()
	}
	unix.Close(fd)
}

// floorConn is a connection to a responder, on its way: connect, ask, hear, close.
type floorConn struct {
	fd    int
	asked bool
}

func floorStream() int {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	if err != nil {
		panic(err)
	}
	return fd
}

func (c *floorConn) connect(to netip.AddrPort) {
	err := unix.Connect(c.fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	if err != nil && err != unix.EINPROGRESS {
		panic(err)
	}
}

// step does what a socket that is ready is ready for; true when it is done.
func (c *floorConn) step(buf []byte) bool {
	if !c.asked {
		if err := unix.Send(c.fd, []byte("nstest? 0123456789abcdef"), unix.MSG_NOSIGNAL); err != nil {
			panic(err)
		}
		c.asked = true
		return false
	}
	if _, err := unix.Read(c.fd, buf); err == unix.EAGAIN {
		return false
	} else if err != nil {
		panic(err)
	}
	unix.Close(c.fd)
	return true
}

// floorAskTCP connects, asks who is there, hears it, and closes.
func floorAskTCP(to netip.AddrPort, buf []byte) {
	c := &floorConn{fd: floorStream()}
	c.connect(to)
	for events := int16(unix.POLLOUT); ; events = unix.POLLIN {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: events}}, 1000)
		if c.step(buf) {
			return
		}
	}
}

// floorSurveyTCP is every pair's connection, with one epoll for all.
func floorSurveyTCP(b *testing.B, nodes []*harness.Node, port uint16) {
	conns := map[int32]*floorConn{}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		b.Fatal(err)
	}
	defer unix.Close(poll)
	err = harness.Visit(nodes, func(from *harness.Node) error {
		for _, to := range nodes {
			if to != from {
				c := &floorConn{fd: floorStream()}
				conns[int32(c.fd)] = c
				c.connect(netip.AddrPortFrom(to.Addr(), port))
				event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | 1<<31, Fd: int32(c.fd)} // EPOLLET
				if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, c.fd, &event); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	buf, events := make([]byte, 256), make([]unix.EpollEvent, 256)
	for len(conns) > 0 {
		n, err := unix.EpollWait(poll, events, 5000)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			b.Fatal("floor: connections are left: ", len(conns), err)
		}
		for _, event := range events[:n] {
			if c := conns[event.Fd]; c != nil && c.step(buf) {
				delete(conns, event.Fd)
			}
		}
	}
}
