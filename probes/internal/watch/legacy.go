package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// legacyTracer hears what the rules of iptables-legacy do with the watched packets of
// one namespace. The trace flag is that of nftables, which a tracer's table sets; what
// the old tables say of a packet that has it goes to the log of its family
// (nf_log_trace), which is turned to a socket meanwhile (nfnetlink_log). There it comes
// to group 0, which only one socket may have: all watches of a node share it.
type legacyTracer struct {
	node    *harness.Node
	events  *netlink.Conn
	before  map[string]string // the logs' sysctls
	reading sync.WaitGroup

	mu      sync.Mutex
	rules   map[string]*legacyChain // by "iptables-legacy filter FORWARD"
	watches []*Watch
}

// legacyTracers are those that are open, by node.
var legacyTracers = struct {
	sync.Mutex
	of map[*harness.Node]*legacyTracer
}{of: map[*harness.Node]*legacyTracer{}}

// The logs of IPv4 and IPv6, by family (NFPROTO_IPV4 and NFPROTO_IPV6 in
// linux/netfilter.h), and the log that goes to a socket.
var legacyLogs = []string{"/proc/sys/net/netfilter/nf_log/2", "/proc/sys/net/netfilter/nf_log/10"}

const socketLog = "nfnetlink_log"

// What is said of NFULNL in linux/netfilter/nfnetlink_log.h.
const (
	ulogPacket, ulogConfig                            = unix.NFNL_SUBSYS_ULOG << 8, unix.NFNL_SUBSYS_ULOG<<8 | 1
	ulogCommand, ulogMode, ulogTimeout, ulogThreshold = 1, 2, 4, 5
	ulogMark, ulogIn, ulogData, ulogText              = 3, 4, 9, 10
	bindGroup, unbindGroup, copyPacket                = 1, 2, 2
)

// joinLegacyTracer begins to hear a node that has tables of iptables-legacy; nil where
// it has none, or where they cannot be heard: no tool to read them, no log to a socket
// in this kernel, another program that hears it. The calling thread is in the node's
// namespace.
func joinLegacyTracer(w *Watch, node *harness.Node) (*legacyTracer, error) {
	rules, err := readLegacy()
	if err != nil || len(rules) == 0 {
		return nil, nil // a state tells that there are tables
	}
	legacyTracers.Lock()
	defer legacyTracers.Unlock()
	t := legacyTracers.of[node]
	if t == nil {
		if t, err = openLegacyTracer(node); t == nil || err != nil {
			return nil, err
		}
		legacyTracers.of[node] = t
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rules, t.watches = rules, append(t.watches, w)
	return t, nil
}

func openLegacyTracer(node *harness.Node) (t *legacyTracer, err error) {
	t = &legacyTracer{node: node, before: map[string]string{}}
	if t.events, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return nil, err
	}
	_ = t.events.SetReadBuffer(4 << 20) // as much of it as rmem_max allows
	if t.bind() != nil || t.turn() != nil {
		return nil, t.close()
	}
	t.reading.Go(func() { readEvents(t.events, t, t.hear, t.lose) })
	return t, nil
}

// leave is the end of it for a watch. The last one closes.
func (t *legacyTracer) leave(w *Watch) error {
	legacyTracers.Lock()
	defer legacyTracers.Unlock()
	t.mu.Lock()
	t.watches = slices.DeleteFunc(t.watches, func(o *Watch) bool { return o == w })
	left := len(t.watches)
	t.mu.Unlock()
	if left > 0 {
		return nil
	}
	delete(legacyTracers.of, t.node)
	_ = t.events.SetReadDeadline(time.Unix(1, 0))
	t.reading.Wait()
	return t.close()
}

// Lock is held between taking an event and having heard it, for every watch.
func (t *legacyTracer) Lock() {
	t.mu.Lock()
	for _, w := range t.watches {
		w.hearing.RLock()
	}
}

// Unlock ends Lock.
func (t *legacyTracer) Unlock() {
	for _, w := range t.watches {
		w.hearing.RUnlock()
	}
	t.mu.Unlock()
}

func (t *legacyTracer) lose(err error) {
	for _, w := range t.watches {
		w.lose(fmt.Sprintf("node %s: %v", t.node, err))
	}
}

// bind asks for the packets of group 0, whole and at once.
func (t *legacyTracer) bind() error {
	for _, attribute := range []netlink.Attribute{
		{Type: ulogCommand, Data: []byte{bindGroup}},
		{Type: ulogMode, Data: []byte{0, 0, snapLength >> 8, snapLength & 0xff, copyPacket, 0}},
		{Type: ulogTimeout, Data: []byte{0, 0, 0, 1}},
		{Type: ulogThreshold, Data: []byte{0, 0, 0, 1}},
	} {
		message, err := configure(attribute)
		if err != nil {
			return err
		}
		message.Header.Flags |= netlink.Acknowledge
		if _, err := t.events.Execute(message); err != nil {
			return err
		}
	}
	return nil
}

// unbind gives the group back at once. The kernel does so when the last descriptor is
// closed, and a child that another goroutine starts holds one until it runs its
// program.
func (t *legacyTracer) unbind() error {
	message, err := configure(netlink.Attribute{Type: ulogCommand, Data: []byte{unbindGroup}})
	if err == nil {
		_, err = t.events.Send(message) // what answers may lie behind packets
	}
	return err
}

// configure is a message that sets one thing of group 0: the last two bytes of its
// header.
func configure(attribute netlink.Attribute) (netlink.Message, error) {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{attribute})
	return netlink.Message{
		Header: netlink.Header{Type: ulogConfig, Flags: netlink.Request},
		Data:   append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0}, data...),
	}, err
}

// turn turns the logs to the socket. The calling thread is in the node's namespace.
func (t *legacyTracer) turn() error {
	for _, path := range legacyLogs {
		value, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(socketLog), 0); err != nil {
			return err
		}
		t.before[path] = strings.TrimSpace(string(value))
	}
	return nil
}

// hear reads the messages of a datagram.
func (t *legacyTracer) hear(data []byte) {
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return
	}
	for _, m := range messages {
		if m.Header.Type != ulogPacket {
			continue
		}
		if event, ok := parseLegacy(m.Data); ok {
			event.at, event.drops = time.Now(), t.dropper(event)
			for _, w := range t.watches {
				w.hearLegacy(t, event)
			}
		}
	}
}

// dropper is the rule or policy that ended the packet's way; nil where it goes on.
func (t *legacyTracer) dropper(e legacyEvent) *evidence.Rule {
	program := "iptables-legacy "
	if e.packet.Destination.Is6() {
		program = "ip6tables-legacy "
	}
	if chain := t.rules[program+e.place]; chain != nil {
		return chain.dropper(e)
	}
	return nil
}

// close gives the group and the logs back, if the namespace is still there.
func (t *legacyTracer) close() error {
	var errs []error
	_ = t.node.Do(func() error {
		for path, value := range t.before {
			errs = append(errs, os.WriteFile(path, []byte(value), 0))
		}
		return nil
	})
	return errors.Join(append(errs, t.unbind(), t.events.Close())...)
}

// legacyEvent is one rule, or a chain's end, that a packet met.
type legacyEvent struct {
	at     time.Time
	place  string // "filter FORWARD"
	kind   string // "rule", "policy" or "return"
	number int    // of the rule in its chain, from 1
	packet *wire.Packet
	in     int
	mark   uint32
	drops  *evidence.Rule // what ended the packet's way; nil where it goes on
}

// parseLegacy reads an event. Another log's is none.
func parseLegacy(data []byte) (event legacyEvent, ok bool) {
	const header = 4 // struct nfgenmsg
	if len(data) < header {
		return event, false
	}
	attributes, err := netlink.UnmarshalAttributes(data[header:])
	if err != nil {
		return event, false
	}
	for _, a := range attributes {
		switch {
		case a.Type == ulogText:
			event.place, event.kind, event.number, ok = parseTraceText(string(a.Data))
		case a.Type == ulogData:
			event.packet, _ = wire.Parse(a.Data)
		case a.Type == ulogIn && len(a.Data) == 4:
			event.in = int(binary.BigEndian.Uint32(a.Data))
		case a.Type == ulogMark && len(a.Data) == 4:
			event.mark = binary.BigEndian.Uint32(a.Data)
		}
	}
	return event, ok && event.packet != nil
}

// parseTraceText reads "TRACE: filter:FORWARD:rule:1 ".
func parseTraceText(text string) (place, kind string, number int, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimRight(text, "\x00 "), "TRACE: ")
	fields := strings.Split(text, ":")
	if !ok || len(fields) != 4 {
		return "", "", 0, false
	}
	if _, err := fmt.Sscan(fields[3], &number); err != nil {
		return "", "", 0, false
	}
	return fields[0] + " " + fields[1], fields[2], number, true
}
