package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// legacyTracer hears what the rules of iptables-legacy do with the watched packets of
// one namespace. The trace flag is that of nftables, which the watch's table sets; what
// the old tables say of a packet that has it goes to the log of its family
// (nf_log_trace), which is turned to a socket for the lab's life (nfnetlink_log). There
// it comes to group 0, which only one socket may have.
type legacyTracer struct {
	inode  uint64 // of the namespace
	events *nfnl
	buf    []byte
	rules  map[string]*legacyChain // by "iptables-legacy filter FORWARD"
}

// The logs of IPv4 and IPv6, by family (NFPROTO_IPV4 and NFPROTO_IPV6 in
// linux/netfilter.h), and the log that goes to a socket.
var legacyLogs = []string{"/proc/sys/net/netfilter/nf_log/2", "/proc/sys/net/netfilter/nf_log/10"}

const socketLog = "nfnetlink_log"

// What is said of NFULNL in linux/netfilter/nfnetlink_log.h.
const (
	ulogPacket, ulogConfig                            = unix.NFNL_SUBSYS_ULOG << 8, unix.NFNL_SUBSYS_ULOG<<8 | 1
	ulogCommand, ulogMode, ulogTimeout, ulogThreshold = 1, 2, 4, 5
	ulogMark, ulogIn, ulogData, ulogText              = 3, 4, 9, 10
	bindGroup, copyPacket                             = 1, 2
)

// haveLegacy says whether the kernel has tables of iptables-legacy anywhere.
func haveLegacy() bool {
	for _, path := range inspect.LegacyFiles() {
		if unix.Access(path, unix.F_OK) == nil {
			return true
		}
	}
	return false
}

// legacyTables says whether the node has tables of iptables-legacy.
func (p *point) legacyTables() (has bool) {
	if p.oldNames == nil {
		_ = p.opens(func() error {
			for _, path := range inspect.LegacyFiles() {
				if file, err := os.Open(path); err == nil {
					p.oldNames = append(p.oldNames, file)
				}
			}
			return nil
		})
	}
	var name [1]byte
	for _, file := range p.oldNames {
		n, _ := file.ReadAt(name[:], 0)
		has = has || n > 0
	}
	return has
}

// refreshLegacy hears a node that has tables of iptables-legacy, and reads their rules:
// nothing tells when they are changed. It does without where they cannot be heard: no
// tool to read them, no log to a socket in this kernel, another program that hears it;
// a state tells that there are tables.
func (w *Watch) refreshLegacy(p *point, may bool) error {
	if may && p.node.Attached() {
		p.ruledLegacy = p.legacyTables()
	}
	if !may || p.node.Attached() || !p.legacyTables() {
		return nil
	}
	var rules map[string]*legacyChain
	err := p.node.Do(func() (err error) {
		rules, err = readLegacy()
		return err
	})
	if err != nil || len(rules) == 0 {
		return nil
	}
	if p.legacy == nil {
		var t *legacyTracer
		if p.opens(func() (err error) {
			t, err = openLegacy(p.node)
			return err
		}) != nil {
			return nil
		}
		p.legacy, p.changed, p.generation = t, true, 0 // its packets want the flag
		if err := w.listenTo(t.events.fd, source{p, func() bool { return w.readLegacy(p) }}); err != nil {
			return err
		}
	}
	p.legacy.rules = rules
	return nil
}

// openLegacy turns the logs of the calling thread's namespace, which is the node's, to a
// socket.
func openLegacy(node *harness.Node) (*legacyTracer, error) {
	events, err := openNfnl()
	if err != nil {
		return nil, err
	}
	enlarge(events.fd)
	if err := errors.Join(bindLog(events), turnLogs(), unix.SetNonblock(events.fd, true)); err != nil {
		events.close()
		return nil, err
	}
	t := &legacyTracer{inode: node.Inode(), events: events, buf: make([]byte, 64<<10)}
	ownLogs.Store(t.inode, true)
	return t, nil
}

// bindLog asks for the packets of group 0, whole and at once.
func bindLog(s *nfnl) error {
	for _, set := range []struct {
		kind uint16
		data []byte
	}{
		{ulogCommand, []byte{bindGroup}},
		{ulogMode, []byte{0, 0, snapLength >> 8, snapLength & 0xff, copyPacket, 0}},
		{ulogTimeout, []byte{0, 0, 0, 1}},
		{ulogThreshold, []byte{0, 0, 0, 1}},
	} {
		err := s.ask(ulogConfig, unix.NLM_F_ACK, unix.AF_UNSPEC, func(m *message) { m.attr(set.kind, set.data) }, func(byte, []byte) {})
		if err != nil {
			return err
		}
	}
	return nil
}

// turnLogs turns the logs to the socket. The calling thread is in the node's namespace.
func turnLogs() error {
	for _, path := range legacyLogs {
		if err := os.WriteFile(path, []byte(socketLog), 0); err != nil {
			return err
		}
	}
	return nil
}

func (t *legacyTracer) close() {
	ownLogs.Delete(t.inode)
	t.events.close()
}

// ownLogs are the namespaces, by inode, whose group 0 a watch reads.
var ownLogs sync.Map

// ReadsLog says whether it is a watch that reads what is logged to a node's group 0.
func ReadsLog(node *harness.Node) bool {
	_, reads := ownLogs.Load(node.Inode())
	return reads
}

// readLegacy hears what is logged, at most perTurn times; more may be there.
func (w *Watch) readLegacy(p *point) (more bool) {
	for range perTurn {
		n, err := recv(p.legacy.events.fd, p.legacy.buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			w.lose(p, "events of the rule trace were lost")
			continue
		case err != nil:
			return false
		}
		for rest := p.legacy.buf[:n]; len(rest) >= unix.NLMSG_HDRLEN; {
			length := int(binary.NativeEndian.Uint32(rest))
			if length < unix.NLMSG_HDRLEN || length > len(rest) {
				break
			}
			if binary.NativeEndian.Uint16(rest[4:]) == ulogPacket {
				if event, ok := parseLegacy(slices.Clone(rest[unix.NLMSG_HDRLEN:length])); ok {
					event.chain = p.legacy.chain(event)
					event.drops = event.chain.dropper(event)
					w.told = append(w.told, told{p: p, legacy: &event})
				}
			}
			rest = rest[min((length+3)&^3, len(rest)):]
		}
	}
	return true
}

// hearLegacy notes what a rule of iptables-legacy did with a packet of a probe.
func (w *Watch) hearLegacy(p *point, e legacyEvent) {
	t, role := w.book.find(p, e.packet)
	if t == nil || t.storms {
		return
	}
	t.told++
	defer w.bound(t)
	s := ruleSighting(p, e.in, e.mark, role, e.packet)
	s.Rule = e.drops
	if s.Dropped() || s.Mark != 0 && !hasMark(t.timeline, s) {
		t.see(s)
	}
	if !s.Dropped() {
		t.meets(p, role, e)
		t.takeLegacy(p, role, e)
		return
	}
	drop := legacyAccountRule(s.Rule)
	for i := len(t.records) - 1; i >= 0; i-- { // which it is the flag's trace tells
		if r := t.records[i]; r.Node == p.label && r.role == role && r.Drop == nil && r.packet.Tuple() == e.packet.Tuple() {
			r.Drop = drop
			return
		}
	}
	header := headerOf(e.packet)
	t.records = append(t.records, &record{trail: t, role: role, packet: e.packet, Record: account.Record{
		Node: p.label, Role: account.Role(role), In: e.in, Before: header, After: header, Drop: drop, Mark: e.mark,
	}})
}

// legacyAccountRule is accountRule of one whose text is known.
func legacyAccountRule(r *evidence.Rule) *account.Rule {
	rule := accountRule(r)
	rule.Text = r.Text
	return rule
}

// chain is the chain that an event is of; nil where it was not read.
func (t *legacyTracer) chain(e legacyEvent) *legacyChain {
	program := "iptables-legacy "
	if e.packet.Destination.Is6() {
		program = "ip6tables-legacy "
	}
	return t.rules[program+e.place]
}

// legacyEvent is one rule, or a chain's end, that a packet met.
type legacyEvent struct {
	place  string // "filter FORWARD"
	kind   string // "rule", "policy" or "return"
	number int    // of the rule in its chain, from 1
	packet *wire.Packet
	in     int
	mark   uint32
	chain  *legacyChain   // that it is of
	drops  *evidence.Rule // what ended the packet's way; nil where it goes on
}

// parseLegacy reads an event. Another log's is none.
func parseLegacy(data []byte) (event legacyEvent, ok bool) {
	if len(data) < nfgenmsg {
		return event, false
	}
	attributes, err := netlink.UnmarshalAttributes(data[nfgenmsg:])
	if err != nil {
		return event, false
	}
	for _, a := range attributes {
		switch {
		case a.Type == ulogText:
			event.place, event.kind, event.number, ok = parseTraceText(string(a.Data))
		case a.Type == ulogData:
			event.packet, _ = wire.Parse(append([]byte(nil), a.Data...))
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
