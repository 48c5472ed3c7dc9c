package probes

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	echoRequest4, echoReply4 = byte(ipv4.ICMPTypeEcho), byte(ipv4.ICMPTypeEchoReply)
	echoRequest6, echoReply6 = byte(ipv6.ICMPTypeEchoRequest), byte(ipv6.ICMPTypeEchoReply)
	echoHeader               = 8
	nonceSize                = wire.NonceSize

	// echoSeen is as much of an answer as is looked at: an IPv4 header, which has
	// 60 bytes at most, the ICMP header, and the nonce. What follows is cut off.
	echoSeen = 60 + echoHeader + nonceSize
)

// echoes is a socket for echo requests of one family.
//
// A ping socket (icmp(7)) hears the answers to its own requests, and the errors
// about them, and nothing else: any number may ask at once. A raw socket hears
// those of its whole namespace, unless only is called, and errors even then: it is
// for one that asks many in a row, for IPv6, and where ping sockets may not be had.
// Either way an answer must have the sequence number and the nonce of the request,
// and come from the address that was asked.
type echoes struct {
	*socket
	v6, bare bool   // bare is raw
	block    uint16 // the first of the ids that only lets through
	filtered bool   // by only
	id       uint16
	seq      uint16
	in       []byte
}

func icmpProtocol(v6 bool) int {
	if v6 {
		return unix.IPPROTO_ICMPV6
	}
	return unix.IPPROTO_ICMP
}

// openOne makes a socket for one request at a time, in the calling thread's
// namespace, which is node's: a ping socket. New namespaces allow them to nobody
// (net.ipv4.ping_group_range); a lab's is told to allow this process's group. An
// attached one is left as it is: there it is a raw socket, if need be. So it is
// for IPv6: a ping socket would not tell that a rule kept the request from leaving
// (ping_v6_sendmsg, net/ipv6/ping.c).
func openOne(node *harness.Node, v6 bool, from source) (*echoes, error) {
	if v6 {
		e, err := openRaw(v6, from)
		if err == nil {
			err = e.only(freshOf(node, wire.ICMP, true).block())
		}
		return e, err
	}
	fd, err := from.open(false, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	if err == unix.EACCES {
		if node.Attached() {
			return openRaw(false, from)
		}
		group := fmt.Sprintf("%[1]d %[1]d", unix.Getegid())
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte(group), 0); err != nil {
			return openRaw(false, from)
		}
		fd, err = from.open(false, unix.SOCK_DGRAM, unix.IPPROTO_ICMP)
	}
	if err != nil {
		return nil, err
	}
	return newEchoes(fd, false, false)
}

// openRaw makes a raw socket for requests in the calling thread's namespace.
func openRaw(v6 bool, from source) (*echoes, error) {
	reply := echoReply4
	if v6 {
		reply = echoReply6
	}
	fd, err := openICMP(v6, reply, from)
	if err != nil {
		return nil, err
	}
	return newEchoes(fd, v6, true)
}

// openICMP makes a raw socket in the calling thread's namespace. Its filter lets only
// one type through: else each would read its neighbours' packets.
func openICMP(v6 bool, kind byte, from source) (int, error) {
	fd, err := from.open(v6, unix.SOCK_RAW, icmpProtocol(v6))
	if err != nil {
		return -1, err
	}
	if v6 {
		only := &unix.ICMPv6Filter{} // a set bit blocks (RFC 3542, 3.2)
		for i := range only.Data {
			only.Data[i] = ^uint32(0)
		}
		only.Data[kind>>5] &^= 1 << (kind & 31)
		err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, only)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1 << kind))
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// only keeps answers with ids of another block from a raw IPv6 socket, which begins
// with the ICMP header.
func (e *echoes) only(block uint16) error {
	e.block, e.filtered = block, true
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: ^uint32(blockSize - 1)},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(block), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: ^uint32(0)},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	err := watch.SetFilter(e.fd, program)
	if err != nil {
		e.close()
	}
	return err
}

func newEchoes(fd int, v6, bare bool) (*echoes, error) {
	s, err := polled(fd)
	if err != nil {
		return nil, err
	}
	return &echoes{socket: s, v6: v6, bare: bare, in: make([]byte, echoSeen)}, nil
}

// renew gives the socket a fresh id for the node's next probe, and the address that
// it is sent from; false when it has used up its own.
//
// A ping socket's id is the kernel's choice: of 65,536 the next one that no socket of
// the machine has (ping_get_port, net/ipv4/ping.c).
func (e *echoes) renew(node *harness.Node, from source) (ok bool, err error) {
	if !e.bare {
		err = unbind(e.fd)
	}
	if err == nil && from != (source{}) {
		_, err = from.bind(e.fd, e.v6)
	}
	switch {
	case err != nil:
		return false, err
	case e.filtered:
		e.id, ok = freshOf(node, wire.ICMP, e.v6).within(e.block)
		return ok, nil
	case e.bare:
		e.id = freshOf(node, wire.ICMP, e.v6).next()
	}
	return true, nil
}

// takeIDs takes fresh ids for a raw socket of a node's. The calling thread is in its
// namespace. For IPv4 they are of those that ping sockets get, so as to differ
// from them, unless the node has none.
func takeIDs(node *harness.Node, v6 bool, many int) (ids []uint16, err error) {
	var ping *echoes
	if !v6 && many > 0 {
		if ping, err = openOne(node, false, source{}); err != nil {
			return nil, err
		}
		defer ping.close()
	}
	for range many {
		if ping == nil || ping.bare {
			ids = append(ids, freshOf(node, wire.ICMP, v6).next())
			continue
		}
		if err := unbind(ping.fd); err != nil {
			return nil, err
		}
		id, err := source{}.bind(ping.fd, false)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

const icmpFilter = 1 // ICMP_FILTER, raw(7); a set bit blocks that type

// forget empties the error queue, and says whether an ICMP error was in it.
func (e *echoes) forget() (heard bool) {
	for {
		q, more := readQueue(e.fd)
		if !more {
			return heard
		}
		heard = heard || q.origin != unix.SO_EE_ORIGIN_LOCAL
	}
}

// Each failure of sending that an ICMP error may be behind is followed by another
// try: sendTries without such an error, sendLimit in all.
const (
	sendTries = 3
	sendLimit = 1000
)

// send sends a request. The error that it gets may be an earlier request's, or
// on a raw socket that of another's request, for which heard empties the error
// queue: one of this request's own comes again when it is tried again. (The kernel
// sets a socket's error after it has put the entry into the queue, so that there
// may be one without an entry, but not several in a row.)
func (e *echoes) send(request []byte, to unix.Sockaddr, heard func() bool) error {
	for try, all := 1, 1; ; all++ {
		err := unix.Sendto(e.fd, request, 0, to)
		if err == nil || !isQueued(err) || try == sendTries || all == sendLimit {
			return err
		}
		if !heard() {
			try++
		}
	}
}

// receive reads an answer, as far as it is looked at, and who sent it. (That of
// package unix makes a system call of its own for the sender.)
func (e *echoes) receive() (packet []byte, from netip.Addr, err error) {
	n, sender, err := syscall.Recvfrom(e.fd, e.in, unix.MSG_DONTWAIT)
	if err != nil {
		return nil, netip.Addr{}, err
	}
	switch sender := sender.(type) {
	case *syscall.SockaddrInet4:
		from = netip.AddrFrom4(sender.Addr)
	case *syscall.SockaddrInet6:
		from = netip.AddrFrom16(sender.Addr)
	}
	return e.in[:n], from, nil
}

// request makes the next echo request with a nonce. The kernel sums up those of ICMPv6:
// it needs the addresses.
func (e *echoes) request(size int, nonce [nonceSize]byte) []byte {
	e.seq++
	data := make([]byte, size)
	copy(data, nonce[:])
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(e.id), Seq: int(e.seq), Data: data}}
	if e.v6 {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	packet, _ := m.Marshal(nil) // there is nothing of an echo that it could refuse
	return packet
}

// newNonce is what no other packet has.
func newNonce() (nonce [nonceSize]byte) {
	if watch.Covering() {
		return watch.Nonce()
	}
	binary.NativeEndian.PutUint64(nonce[:], rand.Uint64())
	binary.NativeEndian.PutUint64(nonce[8:], rand.Uint64())
	return nonce
}

// answers says whether a received packet is the reply to a request. A ping
// socket's id is the kernel's own, which checked it.
func (e *echoes) answers(packet, request []byte) bool {
	packet, ok := e.stripped(packet)
	if !ok {
		return false
	}
	reply := echoReply6
	if !e.v6 {
		reply = echoReply4
	}
	size := echoHeader + nonceSize
	return len(packet) >= size && packet[0] == reply && slices.Equal(packet[6:size], request[6:size]) &&
		(!e.bare || slices.Equal(packet[4:6], request[4:6]))
}

// stripped is a received packet from its ICMP header on: a raw IPv4 socket hands
// over the IP header as well.
func (e *echoes) stripped(packet []byte) ([]byte, bool) {
	if e.bare && !e.v6 {
		return withoutIPv4(packet)
	}
	return packet, true
}

// withoutIPv4 takes the header off that a raw IPv4 socket hands over.
func withoutIPv4(packet []byte) ([]byte, bool) {
	if len(packet) < 20 {
		return nil, false
	}
	header := int(packet[0]&15) * 4
	if len(packet) < header {
		return nil, false
	}
	return packet[header:], true
}

// about says whether an entry of the error queue is about a request. Whoever
// sent the error may have quoted its header alone (RFC 792), without the nonce.
func (e *echoes) about(q queued, request []byte) bool {
	return len(q.packet) >= echoHeader && q.packet[0] == request[0] && slices.Equal(q.packet[6:8], request[6:8]) &&
		quotes(q.packet, [nonceSize]byte(request[echoHeader:])) && (!e.bare || slices.Equal(q.packet[4:6], request[4:6]))
}

// quotes says whether a quoted request has the nonce, as far as it is quoted.
func quotes(packet []byte, nonce [nonceSize]byte) bool {
	quoted := packet[echoHeader:min(len(packet), echoHeader+nonceSize)]
	return slices.Equal(quoted, nonce[:len(quoted)])
}
