package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// point is what stands at one node: a tap, sockets that tell when its links or rules
// were changed, and where it has rules their trace.
type point struct {
	node  *harness.Node
	label string // unique in the watch
	tap   int
	read  bool // something was, since what did not fit was counted

	links   int            // tells of changed links
	devices map[int]device // nil when they are to be read again

	alerts     int  // tells of changed rules; -1 where no rules are traced
	changed    bool // the rules were, and what is known of them is old
	generation uint32
	rules      *nfnl // nil until the node has rules
	table      *table
	tracers    []*tracer
	legacy     *legacyTracer
	oldNames   []*os.File // of legacyNames
	byHandle   map[ruleKey]*ruleEntry
	tableIDs   map[ruleKey]uint64      // the kernel's numbers of the tables; never changed, but replaced
	traced     map[uint32]*record      // the packets that are in the rules' hands, by the kernel's number
	pieces     []piece                 // fragments of IPv6 that the trace may yet tell of
	blind      *inspect.BlindSpots     // opened when it is first wanted
	noARP      bool                    // the kernel has no rules for ARP
	still      bool                    // standing and queues are as they were read
	standing   []string                // blind spots that stay
	queues     bool                    // packets may wait at its interfaces
	counters   *inspect.KernelCounters // the same; of who confirms
	uses       *uses                   // for rule coverage, where that is wanted

	own  sync.Mutex // held while something is opened when it is first wanted, and at the end
	gone bool       // nothing more is to be opened

	// Of an attached node: whether it has rules of nftables, where these are not traced, and
	// of iptables-legacy, which never are.
	ruled, ruledLegacy bool
}

// opens opens something of a node when it is first wanted, in its namespace, unless the
// watch has ended there.
func (p *point) opens(open func() error) error {
	p.own.Lock()
	defer p.own.Unlock()
	if p.gone {
		return errDown
	}
	return p.node.Do(open)
}

var errDown = errors.New("the lab is down")

// openPoint opens what every node has. The calling thread is in its namespace.
func openPoint(node *harness.Node, label string, filter []unix.SockFilter) (p *point, err error) {
	p = &point{node: node, label: label, tap: -1, links: -1, alerts: -1, traced: map[uint32]*record{}}
	if p.tap, err = openTap(filter); err != nil {
		return p, fmt.Errorf("open tap: %w", err)
	}
	if p.links, err = inspect.Hear(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_TC); err != nil {
		return p, fmt.Errorf("listen for changed links: %w", err)
	}
	if p.alerts, err = inspect.Hear(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES); err != nil {
		return p, fmt.Errorf("listen for changed rules: %w", err)
	}
	p.changed = true
	return p, SetFilter(p.alerts, newGenerations())
}

// newGenerations lets through what tells that rules were changed, and not each change:
// thousands of rules may be loaded at once.
func newGenerations() []unix.SockFilter {
	// A message's type is in the machine's order, a filter reads the network's.
	kind := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, nftMessage(unix.NFT_MSG_NEWGEN)))
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(kind), Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: ^uint32(0)},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
}

// sockets are all that the point holds.
func (p *point) sockets() (fds []int) {
	for _, fd := range []int{p.tap, p.links, p.alerts} {
		if fd >= 0 {
			fds = append(fds, fd)
		}
	}
	for _, t := range p.tracers {
		fds = append(fds, t.fd)
	}
	return fds
}

// silence empties a socket that only tells that something was changed, and says
// whether it did.
func silence(fd int, buf []byte) (told bool) {
	for range perTurn {
		switch _, err := recv(fd, buf); err {
		case nil, unix.ENOBUFS:
			told = true
		case unix.EINTR:
		default:
			return told
		}
	}
	return told
}

// tables are the families that the user has tables in, and whether there is a chain of
// an interface among them.
func (p *point) tables() (families map[byte]bool, own bool, err error) {
	families = map[byte]bool{}
	if p.tableIDs, err = p.rules.tables(); err != nil {
		return families, false, err
	}
	for key := range p.tableIDs {
		switch {
		case p.table != nil && key.table == p.table.name:
			own = true
		case !IsOwn(key.table):
			families[key.family] = true
		}
	}
	if families[familyINet] && !families[familyNetdev] {
		families[familyNetdev], err = p.hasIngress()
	}
	return families, own, err
}

// tableHandle is NFTA_TABLE_HANDLE (linux/netfilter/nf_tables.h).
const tableHandle = 4

// tables are the kernel's numbers of the tables. A number is given once: another table of the
// name has another, while the numbers of its rules begin anew.
func (s *nfnl) tables() (map[ruleKey]uint64, error) {
	ids := map[ruleKey]uint64{}
	err := s.ask(nftMessage(unix.NFT_MSG_GETTABLE), unix.NLM_F_DUMP, unix.AF_UNSPEC, nil, func(family byte, attrs []byte) {
		key, id := ruleKey{family: family}, uint64(0)
		for kind, value := range attributes(attrs) {
			switch {
			case kind == unix.NFTA_TABLE_NAME:
				key.table = stringOf(value)
			case kind == tableHandle && len(value) == 8:
				id = binary.BigEndian.Uint64(value)
			}
		}
		ids[key] = id
	})
	return ids, err
}

// inetIngress is the hook of an interface as family inet numbers it: NF_INET_INGRESS,
// linux/netfilter.h.
const inetIngress = 5

// hasIngress says whether a chain of family inet is at an interface.
func (p *point) hasIngress() (has bool, err error) {
	err = p.rules.ask(nftMessage(unix.NFT_MSG_GETCHAIN), unix.NLM_F_DUMP, familyINet, nil, func(_ byte, attrs []byte) {
		for kind, value := range attributes(attrs) {
			if kind != unix.NFTA_CHAIN_HOOK {
				continue
			}
			for kind, value := range attributes(value) {
				has = has || kind == unix.NFTA_HOOK_HOOKNUM && number(value) == inetIngress
			}
		}
	})
	return has, err
}

// refresh brings what stands at the node up to date with its rules: its table, which
// the first rules call for, and what is known of them.
func (p *point) refresh(w *Watch) error {
	for p.changed {
		p.changed = false
		if err := p.openRules(); err != nil {
			return fmt.Errorf("open netfilter: %w", err)
		}
		generation, err := p.rules.generation()
		if err != nil {
			return fmt.Errorf("ask for the rules' generation: %w", err)
		}
		if generation == p.generation {
			return nil
		}
		p.generation, p.byHandle = generation, nil
		if !p.node.Traced() {
			families, _, err := p.tables()
			p.ruled = err != nil || len(families) > 0
			return err
		}
		p.uses.look(generation)
		again, err := p.install(w)
		if err != nil {
			return err
		}
		if again { // our own change: what came with it, and what came beside it
			silence(p.alerts, w.scratch)
			p.changed = true
		}
	}
	return nil
}

func (p *point) openRules() error {
	if p.rules != nil {
		return nil
	}
	return p.node.Do(func() (err error) {
		p.rules, err = openNfnl()
		return err
	})
}

// install makes the table where there are rules, or what it lacks.
func (p *point) install(w *Watch) (changed bool, err error) {
	w.seenInto = nil
	families, own, err := p.tables()
	if err != nil {
		return false, fmt.Errorf("list tables: %w", err)
	}
	if len(families) == 0 && p.table == nil && p.legacy == nil {
		return false, nil
	}
	if p.table == nil {
		if err := p.openTrace(w); err != nil {
			return false, err
		}
	}
	if !own && len(p.table.families) > 0 { // somebody flushed the rules
		p.table.forget()
	}
	missing, devices := p.missing(families)
	if len(missing)+len(devices) == 0 {
		return false, nil
	}
	if at := slices.Index(missing, familyARP); at >= 0 && !families[familyARP] {
		missing = slices.Delete(missing, at, at+1)
		err := p.table.add([]byte{familyARP}, nil)
		if p.noARP = errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP); err != nil && !p.noARP {
			return false, fmt.Errorf("make trace table: %w", err)
		}
	}
	if err := p.table.add(missing, devices); err != nil {
		return false, fmt.Errorf("make trace table: %w", err)
	}
	return true, nil
}

// putBack makes the table anew, with what was to be added to it, where that failed as somebody
// has flushed the rules since they were looked at.
func (p *point) putBack(w *Watch, err error) error {
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	p.table.forget()
	p.changed = true
	return p.refresh(w)
}

// missing are the families and devices that the table has not got, and needs.
func (p *point) missing(families map[byte]bool) (missing []byte, devices []string) {
	for _, family := range []byte{familyINet, familyBridge, familyARP} {
		wanted := family == familyINet || families[family] || family == familyARP && families[familyNetdev] && !p.noARP // egress drops ARP too
		if !p.table.families[family] && wanted {
			missing = append(missing, family)
		}
	}
	if !families[familyNetdev] {
		return missing, nil
	}
	if p.devices == nil {
		p.readDevices()
	}
	for _, d := range p.devices {
		if !p.table.devices[d.Name] {
			devices = append(devices, d.Name)
		}
	}
	slices.Sort(devices)
	return missing, devices
}

// openTrace opens the trace's sockets.
func (p *point) openTrace(w *Watch) error {
	var t *tracer
	err := p.node.Do(func() (err error) {
		t, err = openTracer()
		return err
	})
	if err != nil {
		return fmt.Errorf("open trace: %w", err)
	}
	p.tracers = append(p.tracers, t)
	p.table = newTable(p.rules, w.mark, p.node.Attached(), w.ports)
	p.table.besides = w.besides()
	return w.listenTo(t.fd, source{p, func() bool { return w.readTrace(p, t) }})
}

// room is the smallest buffer that events have, in bytes; 0 where none are.
func (p *point) room() (room int) {
	for _, t := range p.tracers {
		if room == 0 || t.room < room {
			room = t.room
		}
	}
	return room
}
