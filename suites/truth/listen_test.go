package truth_test

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// ears are raw IP sockets in every node of a lab: what comes to one was delivered,
// after the node's input rules, whichever port it is for and whether anybody has it.
type ears struct{ raw []ear }

type ear struct {
	node     string
	fd       int
	v6       bool
	protocol int
}

func listen(s *scope, lab *harness.Lab, others ...int) *ears {
	all := &ears{}
	for _, node := range lab.Nodes() {
		err := node.Do(func() error {
			for _, protocol := range append([]int{unix.IPPROTO_ICMP, unix.IPPROTO_TCP, unix.IPPROTO_UDP}, others...) {
				if err := all.open(node.Name(), false, protocol); err != nil {
					return err
				}
			}
			for _, protocol := range append([]int{unix.IPPROTO_ICMPV6, unix.IPPROTO_TCP, unix.IPPROTO_UDP}, others...) {
				if err := all.open(node.Name(), true, protocol); err != nil && !errors.Is(err, unix.EAFNOSUPPORT) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			s.Fatalf("listen at %s: %v", node, err)
		}
	}
	s.Cleanup(func() {
		for _, e := range all.raw {
			_ = unix.Close(e.fd)
		}
	})
	return all
}

func (e *ears) open(node string, v6 bool, protocol int) error {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("raw socket: %w", err)
	}
	e.raw = append(e.raw, ear{node, fd, v6, protocol})
	return nil
}

// heard is how many packets of a try were delivered at each node since the last
// call: those that have its token, and of TCP those that open a connection.
func (e *ears) heard(t try, token string) map[string]int {
	nodes := map[string]int{}
	buf := make([]byte, 4096)
	for _, ear := range e.raw {
		for {
			n, _, err := unix.Recvfrom(ear.fd, buf, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				break
			}
			if ear.hasRequest(buf[:n], t, token) {
				nodes[ear.node]++
			}
		}
	}
	return nodes
}

// hasRequest says whether a packet is the try's request, or a copy of it. A raw
// socket of IPv4 has the IP header before it, and one of IPv6 has not.
func (e ear) hasRequest(packet []byte, t try, token string) bool {
	if e.v6 != t.to.Is6() {
		return false
	}
	if !e.v6 {
		header := int(packet[0]&0xf) * 4
		if len(packet) < header {
			return false
		}
		packet = packet[header:]
	}
	switch {
	case t.kind == icmp && (e.protocol == unix.IPPROTO_ICMP || e.protocol == unix.IPPROTO_ICMPV6):
		return len(packet) > 0 && (packet[0] == 8 || packet[0] == 128) && bytes.Contains(packet, []byte(token))
	case t.kind == gre && e.protocol == unix.IPPROTO_GRE:
		return bytes.HasPrefix(packet, []byte(token))
	case t.kind == udp && e.protocol == unix.IPPROTO_UDP:
		return len(packet) >= 8 && bytes.HasPrefix(packet[8:], []byte(token))
	case t.kind == tcp && e.protocol == unix.IPPROTO_TCP:
		return len(packet) > 13 && packet[13]&0x12 == 0x02
	}
	return false
}
