package probes

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// lane is a stream to one address.
type lane struct {
	asking  asking
	at      []*harness.Node // where a packet has arrived; none is anywhere
	prefix  []byte          // of the payload: the packet's number follows
	packets []FlowPacket
	heard   []delivery
	made    []int    // sockets for datagrams, each for one packet
	echoes  *echoes  // for echo requests
	ids     []uint16 // of those, each for one packet
}

// stock is how many sockets, or ids, are made at once: a visit to a namespace takes longer
// than that.
const stock = 16

// flow is what is known of it.
func (l *lane) flow() Flow {
	r := &l.asking.result
	f := Flow{From: r.From, To: r.To, Addr: r.Addr, Probe: r.Probe, Packets: l.packets, heard: l.heard}
	return f.at(l.at)
}

// send sends a packet. An error is one that is no fate of a packet.
func (l *lane) send() (p FlowPacket, err error) {
	payload := make([]byte, l.asking.probe.payload())
	copy(payload, binary.BigEndian.AppendUint32(slices.Clone(l.prefix), uint32(len(l.packets))))
	p.Sent = time.Now()
	if l.asking.probe.kind.protocol == wire.ICMP {
		err = l.sendEcho(payload, &p)
	} else {
		err = l.sendDatagram(payload, &p)
	}
	p.gone = time.Now()
	if errno, ok := err.(unix.Errno); ok && (errno == unix.ENOBUFS || slices.Contains(unsent, errno)) {
		p.Errno, err = errno, nil
	}
	return p, err
}

// sendDatagram sends one from a port of its own, or from that which was chosen.
func (l *lane) sendDatagram(payload []byte, p *FlowPacket) error {
	if len(l.made) == 0 {
		if err := l.asking.from.Do(l.bind); err != nil {
			return err
		}
	}
	fd := l.made[0]
	if l.asking.source.port == 0 {
		l.made = l.made[1:]
		defer func() { _ = unix.Close(fd) }()
	}
	p.Sent = time.Now()
	return unix.Sendto(fd, payload, 0, l.asking.sockaddr())
}

// bind makes sockets that are bound, in the calling thread's namespace.
func (l *lane) bind() error {
	many := stock
	if l.asking.source.port != 0 {
		many = 1
	}
	for range many {
		fd, err := l.asking.open()
		if err != nil {
			return err
		}
		if err = l.asking.bindDatagrams(fd); err == nil {
			err = noQueue(fd, l.asking.addr.Is6())
		}
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		l.made = append(l.made, fd)
	}
	return nil
}

// noQueue has ICMP errors about earlier packets keep no later one from being sent.
func noQueue(fd int, v6 bool) error {
	if v6 {
		return unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 0)
	}
	return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 0)
}

// sendEcho sends an echo request with an id of its own.
func (l *lane) sendEcho(payload []byte, p *FlowPacket) error {
	if len(l.ids) == 0 {
		if err := l.asking.from.Do(l.identify); err != nil {
			return err
		}
	}
	l.echoes.id, l.ids = l.ids[0], l.ids[1:]
	request := l.echoes.request(len(payload), [nonceSize]byte(payload))
	p.Sent = time.Now()
	return unix.Sendto(l.echoes.fd, request, 0, l.asking.sockaddr())
}

// identify takes ids, and makes the socket, which hears nothing, in the calling thread's
// namespace.
func (l *lane) identify() (err error) {
	v6 := l.asking.addr.Is6()
	if l.echoes == nil {
		if l.echoes, err = openRaw(v6, l.asking.source); err != nil {
			return err
		}
		if err = noQueue(l.echoes.fd, v6); err == nil {
			err = hearOnly(l.echoes.fd, nil)
		}
		if err != nil {
			return err
		}
	}
	if l.asking.source != (source{}) {
		if _, err := l.asking.source.bind(l.echoes.fd, v6); err != nil {
			return err
		}
	}
	l.ids, err = takeIDs(l.asking.from, v6, stock)
	return err
}

func (l *lane) close() {
	for _, fd := range l.made {
		_ = unix.Close(fd)
	}
	if l.echoes != nil {
		l.echoes.close()
	}
}
