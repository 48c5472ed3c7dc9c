package watch_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// The server's addresses, and those of the router on both sides.
var (
	server4, server6 = netip.MustParseAddr("10.0.2.1"), netip.MustParseAddr("fd00:2::1")
	fwLan4           = netip.MustParseAddr("10.0.1.2")
)

// soon is longer than anything here takes, bound is a probe's, given that of one whose
// neighbour is to be given up, and while that of one that is not to be concluded.
const (
	soon  = 20 * time.Second
	bound = time.Second
	given = 3500 * time.Millisecond // a neighbour is given up after 3 s, and soon forgotten
	while = 300 * time.Millisecond
)

// office is a lan, a dmz, and a router between them that has rules.
func office(rules string) *topo.Network {
	return officeOf(func(client, server, fw *topo.Node) {
		if rules != "" {
			fw.Nft(rules)
		}
	})
}

// officeOf is an office whose nodes a test changes.
func officeOf(change func(client, server, fw *topo.Node)) *topo.Network {
	office := topo.New("office")
	lan := office.Switch("lan", "10.0.1.0/24", "fd00:1::/64")
	dmz := office.Switch("dmz", "10.0.2.0/24", "fd00:2::/64")
	client, server := office.Host("client", lan), office.Host("server", dmz)
	change(client, server, office.Router("fw", lan, dmz))
	return office
}

// asking is a probe under watch.
type asking struct {
	t     *testing.T
	watch *watch.Watch
	trail *watch.Trail
	errno unix.Errno
}

// to is a flow from the client to the server.
func to(protocol wire.Protocol, addr netip.Addr, port uint16) wire.Flow {
	return wire.Flow{From: "client", To: "server", Addr: addr, Protocol: protocol, Port: port}
}

// open watches nodes until the test ends.
func open(t *testing.T, nodes []*harness.Node, _ ...wire.Flow) *watch.Watch {
	t.Helper()
	var labs []*harness.Lab
	for _, node := range nodes {
		if !slices.Contains(labs, node.Lab()) {
			labs = append(labs, node.Lab())
		}
	}
	watch, err := watch.Of(labs...)
	if err != nil {
		t.Fatal(err)
	}
	return watch
}

// follow begins a trail.
func follow(t *testing.T, w *watch.Watch, flow wire.Flow) *watch.Trail {
	t.Helper()
	trail, err := w.Follow(flow)
	if err != nil {
		t.Fatal(err)
	}
	return trail
}

// ask watches the node's lab and sends the probe.
func ask(t *testing.T, from *harness.Node, flow wire.Flow) *asking {
	t.Helper()
	return askUnder(t, open(t, from.Lab().Nodes(), flow), from, flow)
}

// askUnder sends the probe under a watch; its socket closes with the test.
func askUnder(t *testing.T, watch *watch.Watch, from *harness.Node, flow wire.Flow) *asking {
	t.Helper()
	return askBy(t, watch, from, flow, letter{})
}

// letter is what a test chooses of a probe's packet.
type letter struct {
	size   int // of a datagram's payload, at least
	times  int // that it is sent
	ttl    int
	source netip.AddrPort
}

// askBy is askUnder with a packet of one's choice.
func askBy(t *testing.T, watch *watch.Watch, from *harness.Node, flow wire.Flow, l letter) *asking {
	t.Helper()
	a := &asking{t: t, watch: watch}
	err := from.Do(func() error { return a.send(flow, l) })
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// send makes a socket in the calling thread's namespace and sends the probe. That
// the kernel would not send it is no error.
func (a *asking) send(flow wire.Flow, l letter) error {
	v6, kind, protocol := flow.Addr.Is6(), unix.SOCK_DGRAM, 0
	switch flow.Protocol {
	case wire.TCP:
		kind = unix.SOCK_STREAM
	case wire.ICMP:
		kind, protocol = unix.SOCK_RAW, map[bool]int{false: unix.IPPROTO_ICMP, true: unix.IPPROTO_ICMPV6}[v6]
	}
	fd, err := unix.Socket(map[bool]int{false: unix.AF_INET, true: unix.AF_INET6}[v6], kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return err
	}
	a.t.Cleanup(func() { _ = unix.Close(fd) })
	if l.ttl > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TTL, l.ttl); err != nil {
			return err
		}
	}
	source := l.source
	if !source.IsValid() {
		source = netip.AddrPortFrom(map[bool]netip.Addr{false: netip.IPv4Unspecified(), true: netip.IPv6Unspecified()}[v6], 0)
	}
	if err := unix.Bind(fd, sockaddr(source.Addr(), source.Port())); err != nil {
		return err
	}
	if a.trail, err = a.watch.Follow(flow); err != nil {
		return err
	}
	if flow.Protocol == wire.TCP {
		begin(fd, a.trail.ISN())
	}
	for range max(1, l.times) {
		a.transmit(fd, l)
	}
	return nil
}

func (a *asking) transmit(fd int, l letter) {
	var err error
	flow := a.trail.Flow
	switch flow.Protocol {
	case wire.ICMP:
		err = unix.Sendto(fd, echoRequest(flow), 0, sockaddr(flow.Addr, 0))
	case wire.UDP:
		err = unix.Connect(fd, sockaddr(flow.Addr, flow.Port))
		if err == nil {
			datagram := append([]byte(wire.RequestWord), flow.Nonce[:]...)
			err = unix.Send(fd, append(datagram, make([]byte, max(0, l.size-len(datagram)))...), 0)
		}
	case wire.TCP:
		if err = unix.Connect(fd, sockaddr(flow.Addr, flow.Port)); err == unix.EINPROGRESS {
			err = nil
		}
	}
	a.errno, _ = err.(unix.Errno)
}

func sockaddr(addr netip.Addr, port uint16) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Addr: addr.As4(), Port: int(port)}
	}
	return &unix.SockaddrInet6{Addr: addr.As16(), Port: int(port)}
}

// begin has a connection begin with a sequence number.
func begin(fd int, isn uint32) {
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR_QUEUE, 2) // TCP_SEND_QUEUE
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_QUEUE_SEQ, int(isn))
	_ = unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_REPAIR, -1)
}

// echoRequest has the flow's nonce; the kernel sums ICMPv6 up itself.
func echoRequest(flow wire.Flow) []byte {
	message := append([]byte{8, 0, 0, 0, 0, 7, 0, 1}, flow.Nonce[:]...)
	if flow.Addr.Is6() {
		message[0] = 128
		return message
	}
	var sum uint32
	for i := 0; i < len(message); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(message[i:]))
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum+sum>>16))
	return message
}

// cause is what the watch makes of the probe.
func (a *asking) cause() evidence.Cause {
	a.t.Helper()
	return a.causeWithin(bound)
}

// causeWithin is cause with a bound, for what nothing accounts for.
func (a *asking) causeWithin(bound time.Duration) evidence.Cause {
	a.t.Helper()
	if a.errno != 0 {
		return a.watch.Explain(a.trail, verdict.Heard{Errno: a.errno})
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), bound)
	defer cancel()
	return a.watch.Conclude(ctx, a.trail)
}

// answered waits until the answer is back at the asker, and is what was seen by then.
func (a *asking) answered() evidence.Timeline {
	a.t.Helper()
	return a.back(evidence.Answer)
}

func (a *asking) back(role evidence.Role) evidence.Timeline {
	a.t.Helper()
	back := func() bool {
		return slices.ContainsFunc(a.timeline(), func(s evidence.Sighting) bool {
			return s.Role == role && s.Direction == evidence.In && s.Node == a.trail.Flow.From
		})
	}
	gomega.NewWithT(a.t).Eventually(back).WithTimeout(soon).Should(gomega.BeTrue(), func() string {
		return fmt.Sprintf("%s: no %s came back\n%s", a.what(), role, a.timeline())
	})
	return a.timeline()
}

func (a *asking) timeline() evidence.Timeline { return a.watch.Timeline(a.trail) }

// says fails the test unless the cause is of that kind, and reads so.
func (a *asking) says(kind evidence.Kind, text string) evidence.Cause {
	a.t.Helper()
	within := bound
	if kind == evidence.NoAddress || kind == evidence.Neighbour {
		within = given
	}
	c := a.causeWithin(within)
	if c.Kind != kind || c.String() != text {
		a.t.Errorf("%s: got %s: %s\nwant %s: %s\n%s", a.what(), c.Kind, c, kind, text, a.timeline())
	}
	return c
}

func (a *asking) what() string {
	f := a.trail.Flow
	return fmt.Sprintf("%s %s", map[wire.Protocol]string{wire.ICMP: "ICMP", wire.TCP: "TCP", wire.UDP: "UDP"}[f.Protocol], netip.AddrPortFrom(f.Addr, f.Port))
}
