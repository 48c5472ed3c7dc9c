package probes

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// streamID is how many bytes the id of a stream has.
const streamID = 8

// delivery is a packet that was delivered at a node.
type delivery struct {
	number uint32
	node   *harness.Node
	at     time.Time // the kernel's stamp
}

// ear is a raw socket that gets a copy of what a node is delivered of a stream, over one family,
// past its input rules: whoever has the port gets it as well.
type ear struct {
	*socket
	node *harness.Node
	v6   bool
	here bool // it is where the stream comes from: what services send back comes as well
}

// earBuffer is what an ear is to hold, in bytes, if the machine allows it: some thousand packets.
const earBuffer = 4 << 20

// listen opens the ears, and has packets stamped.
func (s *stream) listen() error {
	done, err := watch.Stamped()
	if err != nil {
		return err
	}
	s.done = append(s.done, done)
	families := map[bool]bool{}
	for _, l := range s.lanes {
		families[l.asking.addr.Is6()] = true
	}
	err = harness.Visit(nodesOf(s.labs), func(node *harness.Node) error {
		for v6 := range families {
			fd, err := openEar(s.probe, s.id, v6)
			if errors.Is(err, unix.EAFNOSUPPORT) {
				continue // a kernel without IPv6
			}
			if err != nil {
				return fmt.Errorf("node %s: hear what arrives: %w", node, err)
			}
			sock, err := polled(fd)
			if err != nil {
				return fmt.Errorf("node %s: hear what arrives: %w", node, err)
			}
			s.ears = append(s.ears, &ear{sock, node, v6, sameNode(node, s.lanes[0].asking.from)})
		}
		return nil
	})
	hearing, end := context.WithCancel(context.Background())
	for _, e := range s.ears {
		s.done = append(s.done, e.close)
		s.hearing.Go(func() { s.hear(hearing, e) })
	}
	s.deafen = func() {
		end()
		s.hearing.Wait()
	}
	s.done = append(s.done, s.deafen) // before their sockets are closed
	return err
}

// openEar makes a raw socket in the calling thread's namespace.
func openEar(p Probe, id [streamID]byte, v6 bool) (int, error) {
	domain, protocol := unix.AF_INET, unix.IPPROTO_UDP
	if v6 {
		domain = unix.AF_INET6
	}
	switch {
	case p.kind.protocol == wire.ICMP:
		protocol = icmpProtocol(v6)
	case p.kind.transport != 0:
		protocol = p.kind.transport
	}
	fd, err := unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, earBuffer) != nil { // an ordinary user may not
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, earBuffer)
	}
	err = errors.Join(err, hearOnly(fd, streamFilter(id, v6)), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// streamFilter lets packets of a stream through: its id is behind a header of eight bytes. What a
// raw socket of IPv4 gets begins with the IP header.
func streamFilter(id [streamID]byte, v6 bool) []bpf.Instruction {
	var program []bpf.Instruction
	if !v6 {
		program = append(program, bpf.LoadMemShift{Off: 0})
	} else {
		program = append(program, bpf.LoadConstant{Dst: bpf.RegX, Val: 0})
	}
	return append(program,
		bpf.LoadIndirect{Off: 8, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(id[:]), SkipFalse: 3},
		bpf.LoadIndirect{Off: 12, Size: 4}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: binary.BigEndian.Uint32(id[4:]), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{})
}

// hearOnly has a socket hear what a program lets through; nothing by an empty one.
func hearOnly(fd int, program []bpf.Instruction) error {
	if len(program) == 0 {
		program = []bpf.Instruction{bpf.RetConstant{}}
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return watch.SetFilter(fd, filter)
}

// hear notes what an ear gets, until the context is over, and what is there by then.
func (s *stream) hear(ctx context.Context, e *ear) {
	var failure error
	_, err := e.wait(ctx, time.Time{}, false, func() bool {
		failure = e.read(s)
		return failure != nil
	})
	if err = firstError(failure, err); err != nil && ctx.Err() == nil {
		s.note(func() { s.err = firstError(s.err, fmt.Errorf("node %s: hear what arrives: %w", e.node, err)) })
	}
}

// read notes all that is there.
func (e *ear) read(s *stream) error {
	packet, control := make([]byte, 128), make([]byte, 128)
	for {
		n, m, _, _, err := unix.Recvmsg(e.fd, packet, control, unix.MSG_DONTWAIT)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		}
		lane, number, ok := e.parse(s, packet[:n])
		at, stamped := watch.StampOf(control[:m])
		if !ok {
			continue
		}
		if !stamped {
			return errors.New("the kernel has not stamped a packet")
		}
		s.note(func() { lane.heard = append(lane.heard, delivery{number, e.node, at}) })
	}
}

// parse says which packet of a stream one is; false for what is none.
func (e *ear) parse(s *stream, packet []byte) (l *lane, number uint32, ok bool) {
	if !e.v6 {
		if packet, ok = withoutIPv4(packet); !ok {
			return nil, 0, false
		}
	}
	const header, numbers = 8, 8
	if len(packet) < header+streamID+numbers || !bytes.Equal(packet[header:header+streamID], s.id[:]) {
		return nil, 0, false
	}
	if s.probe.kind.protocol == wire.ICMP {
		ok = packet[0] == echoRequest4 && !e.v6 || packet[0] == echoRequest6 && e.v6
	} else { // what a service sends back goes elsewhere
		ok = !e.here || binary.BigEndian.Uint16(packet[2:]) == s.probe.port
	}
	rest := packet[header+streamID:]
	at := binary.BigEndian.Uint32(rest)
	if !ok || int(at) >= len(s.lanes) {
		return nil, 0, false
	}
	return s.lanes[at], binary.BigEndian.Uint32(rest[4:]), true
}

// deaf is an error where an ear had no room for a packet: it has arrived.
func (s *stream) deaf() error {
	for _, e := range s.ears {
		numbers, err := unix.GetsockoptTCPInfo(e.fd, unix.SOL_SOCKET, unix.SO_MEMINFO)
		if err != nil {
			return fmt.Errorf("node %s: ask what was lost: %w", e.node, err)
		}
		if lost := numbers.Lost; lost > 0 { // 32 bytes from the begin, as the ninth of SO_MEMINFO's numbers, SK_MEMINFO_DROPS
			return fmt.Errorf("node %s: %d packets arrived that there was no room for: this machine has too much to do for one every %s: send fewer, or raise sysctl net.core.rmem_max to %d",
				e.node, lost, s.every, earBuffer)
		}
	}
	return nil
}
