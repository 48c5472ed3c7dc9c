package truth_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// readers are programs that read what rules log, with the packets, and send them on: a rule
// that logs and drops lets them through with such a one.
var readers = family{"reader", []row{
	{name: "a log whose reader sends on", weight: 2, add: func(g *generator) {
		if at := g.logged(); at != "" {
			delay := pick(g.r, time.Millisecond, 8*time.Millisecond, 30*time.Millisecond)
			g.put(part{node: at, source: fmt.Sprintf("// a program at %s reads what is logged to group %d, and sends it on %v later", at, logGroup, delay), slow: 2 * delay, blind: true,
				do: func(s *scope, lab *harness.Lab, _ string) error { return sendLoggedOn(s, lab.Node(at), delay) }})
		}
	}},
	{name: "a log that nobody reads", add: func(g *generator) { _ = g.logged() }},
}}

const logGroup = 5

// logged puts a rule at a node that logs and drops; "" where it cannot be. What the reader
// sends on leaves by the node's own output.
func (g *generator) logged() (at string) {
	if at = g.anyRouter(); !g.v4 || at == "br" {
		return ""
	}
	for _, p := range g.parts {
		if p.handsOn() {
			return ""
		}
	}
	hook := pick(g.r, "forward", "forward", "prerouting", "input")
	g.nft(at, g.table("ip", chain("c", "filter", hook, g.priority("ip"), "accept", fmt.Sprintf("iifname != \"lo\" %s log group %d counter drop", pick(g.r, "meta l4proto udp", "meta l4proto { udp, icmp }", "udp dport 53", "icmp type echo-request"), logGroup))))
	return at
}

// sendLoggedOn reads a group's log (nfnetlink_log) and sends IPv4 packets on by a raw socket.
func sendLoggedOn(s *scope, node *harness.Node, delay time.Duration) error {
	in, out := -1, -1
	err := node.Do(func() (err error) {
		if out, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		if in, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		return subscribe(in)
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.Cleanup(func() {
		stop()
		<-ended
		s.hands.forget()
		_, _ = unix.Close(in), unix.Close(out)
	})
	if err == nil {
		err = s.hands.watch(in)
	}
	if err != nil {
		close(ended)
		return fmt.Errorf("the log's reader: %w", err)
	}
	go func() {
		defer close(ended)
		readLog(ctx, &s.hands, in, out, delay)
	}()
	return nil
}

// subscribe has the kernel send whole packets of the group, each at once.
func subscribe(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	const config = 4<<8 | 1 // NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG
	for _, attribute := range [][]byte{
		{5, 0, 1, 0, 1, 0, 0, 0},                    // NFULA_CFG_CMD: bind
		{10, 0, 2, 0, 0, 0, 0xff, 0xff, 2, 0, 0, 0}, // NFULA_CFG_MODE: whole packets
		{8, 0, 5, 0, 0, 0, 0, 1},                    // NFULA_CFG_QTHRESH: each at once
	} {
		m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+4+len(attribute)))
		m = binary.NativeEndian.AppendUint16(m, config)
		m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		m = append(m, 0, 0, 0, 0, 0, 0, 0, 0, unix.AF_INET, 0)
		m = append(binary.BigEndian.AppendUint16(m, logGroup), attribute...)
		if err := unix.Sendto(fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return err
		}
		ack := make([]byte, 1000)
		n, _, err := unix.Recvfrom(fd, ack, 0)
		if err != nil {
			return err
		}
		if n >= unix.NLMSG_HDRLEN+4 {
			if errno := -int32(binary.NativeEndian.Uint32(ack[unix.NLMSG_HDRLEN:])); errno != 0 {
				return unix.Errno(errno)
			}
		}
	}
	return nil
}

func readLog(ctx context.Context, hands *hands, in, out int, delay time.Duration) {
	buf := make([]byte, 1<<17)
	for left := mostHanded; ctx.Err() == nil; {
		ready := []unix.PollFd{{Fd: int32(in), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, 50); err != nil || n == 0 {
			continue
		}
		hands.add(1)
		due := time.Now().Add(delay)
		n, _, err := unix.Recvfrom(in, buf, unix.MSG_DONTWAIT)
		if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOBUFS) {
			hands.drop()
			return
		}
		packets := loggedPackets(buf[:max(0, n)])
		if len(packets) == 0 || left < len(packets) {
			hands.drop()
			continue
		}
		left -= len(packets)
		pause(ctx, delay)
		for _, p := range packets {
			_ = unix.Sendto(out, p, unix.MSG_DONTWAIT, &unix.SockaddrInet4{Addr: [4]byte(p[16:20])})
		}
		hands.give(due)
	}
}

// loggedPackets are the IPv4 packets of some messages, without the checksum of UDP, which
// their sender left to the device.
func loggedPackets(data []byte) (all [][]byte) {
	const head, payload, udpSum = 20, 9, 26 // nlmsghdr and nfgenmsg; NFULA_PAYLOAD
	for len(data) >= head {
		length := min(len(data), max(head, int(binary.NativeEndian.Uint32(data))))
		message := data[head:length]
		data = data[min(len(data), (length+3)&^3):]
		for len(message) >= 4 {
			size := min(len(message), max(4, int(binary.NativeEndian.Uint16(message))))
			if p := message[4:size]; binary.NativeEndian.Uint16(message[2:])&0x3fff == payload && len(p) >= udpSum+2 && p[0] == 0x45 {
				p = append([]byte(nil), p...)
				if p[9] == unix.IPPROTO_UDP {
					p[udpSum], p[udpSum+1] = 0, 0
				}
				all = append(all, p)
			}
			message = message[min(len(message), (size+3)&^3):]
		}
	}
	return all
}
