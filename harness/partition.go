package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Group is a group of nodes.
type Group []*Node

// Partition cuts the network between groups of nodes, as a broken cable would: those of one hear
// nothing of another's, and links stay up. Nodes that no group names are one of their own. What
// was cut before is healed by that. A twin is cut likewise; Lab.Change waits for Heal.
//
//	lab.Partition(harness.Group{one, client}, harness.Group{two, three})
//
// On a switch the frames are dropped that are to go from one group's port to another's; at a wire
// between two, all that each end sends.
func (l *Lab) Partition(groups ...Group) error {
	l = l.here()
	if err := l.ours(); err != nil {
		return at(err, "partition %s", l.Name())
	}
	of := map[string]int{}
	for i, group := range groups {
		for _, node := range group {
			switch {
			case node == nil || node.lab != l:
				return at(fmt.Errorf("group %d has a node that is none of this lab's: take it out", i+1), "partition %s", l.Name())
			case of[node.name] != 0:
				return at(fmt.Errorf("node %s is there twice: leave one out", node.name), "partition %s", l.Name())
			}
			of[node.name] = i + 1
		}
	}
	for _, node := range l.Nodes() {
		of[node.name] += 0 // who is in none has 0
	}
	if of := slices.Compact(slices.Sorted(maps.Values(of))); len(of) < 2 {
		return at(errors.New("there is one group alone: leave a node out, or give another"), "partition %s", l.Name())
	}
	return at(l.parted(of), "partition %s", l.Name())
}

// Heal undoes Partition. Where nothing is cut it does nothing. A first packet passes then; of
// connections the kernel sends again when it is time.
func (l *Lab) Heal() error { return at(l.here().parted(nil), "heal %s", l.Name()) }

// Parted is the group that each node is in since Partition, by name; 0 is that of those which none
// names. It is nil where nothing is cut.
func (l *Lab) Parted() map[string]int {
	l = l.here()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.groups
}

func (l *Lab) parted(groups map[string]int) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	if err := l.ours(); err != nil {
		return err
	}
	l.turns.Add(1)
	defer l.turns.Add(1)
	if err := l.now().site.uncut(groups); err != nil {
		return err
	}
	if err := l.part(groups); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = append(l.done, deed{"the lab", func(twin *Lab) error { return twin.part(groups) }})
	return nil
}

// part has the groups be those, none for nil. The caller holds l.changing.
func (l *Lab) part(groups map[string]int) error {
	s, before := l.now().site, l.Parted()
	var errs []error
	if before != nil {
		errs = append(errs, l.mendWires(), s.mendSwitches())
	}
	if groups != nil {
		errs = append(errs, l.cutWires(groups), s.cutSwitches(groups))
	}
	err := errors.Join(errs...)
	if err != nil && groups != nil {
		err = errors.Join(err, l.mendWires(), s.mendSwitches())
	}
	if err != nil {
		groups = nil
	}
	l.mu.Lock()
	l.groups = groups
	l.mu.Unlock()
	return errors.Join(err, l.meetAgain(before))
}

// meetAgain has nodes that were in different groups forget what they know of one another, as
// Port.Up does: who was asked for in vain is else given up when it answers.
func (l *Lab) meetAgain(before map[string]int) error {
	s := l.now().site
	for i := range s.plan.Segments {
		for _, ref := range s.plan.Segments[i].Ports {
			own := s.voice(spot{ref.Node, ref.Port})
			for _, peer := range s.peers(own) {
				if before[own.node] == before[peer.node] {
					continue
				}
				if err := l.forget(s, own, append(addrsOf(s.device(peer).Addrs), s.linkLocals(peer)...)...); err != nil {
					return at(err, "node %s: forget %s", own.node, peer.node)
				}
			}
		}
	}
	return nil
}

// uncut says which segment of those between groups cannot be cut.
func (s *site) uncut(groups map[string]int) error {
	for _, segment := range s.plan.Segments {
		if segment.Kind != topo.KindOVS {
			continue
		}
		var ports []topo.PortRef
		for _, joined := range s.plan.Patched(segment.Name) {
			ports = append(ports, joined.Ports...)
		}
		if slices.ContainsFunc(ports, func(ref topo.PortRef) bool { return groups[ref.Node] != groups[ports[0].Node] }) {
			return fmt.Errorf("segment %s is an Open vSwitch, whose frames pass no bridge: cut it with a flow (ovs-ofctl)", segment.Name)
		}
	}
	return nil
}

// cutEnds are the interfaces of wires that join groups.
func (s *site) cutEnds(groups map[string]int) (ends []spot) {
	for _, segment := range s.plan.Segments {
		if segment.Kind != topo.KindWire || groups[segment.Ports[0].Node] == groups[segment.Ports[1].Node] {
			continue
		}
		for _, ref := range segment.Ports {
			ends = append(ends, spot{ref.Node, ref.Port})
		}
	}
	return ends
}

// Where a filter of tc takes what an interface sends (linux/pkt_sched.h), and the first to do so.
const (
	clsactQdisc  = 0xfffffff1
	clsactHandle = 0xffff0000
	clsactEgress = 0xfffffff3
	cutPriority  = 1
)

// cutEnd is an end of a wire that was cut; bare is true where it had no clsact before.
type cutEnd struct {
	at   spot
	bare bool
}

func (l *Lab) cutWires(groups map[string]int) error {
	s := l.now().site
	for _, where := range s.cutEnds(groups) {
		index, tell := s.indexes[where], s.grounds[where.node].rtnl
		hook := new(batch)
		hook.clsact(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, describe("port %s: make clsact", where.port))
		err := tell.do(hook)
		end := cutEnd{where, err == nil}
		if err == nil || errors.Is(err, unix.EEXIST) {
			filter := new(batch)
			filter.takeAll(index, describe("port %s: cut", where.port))
			err = tell.do(filter)
		}
		if end.bare || err == nil {
			l.cut = append(l.cut, end)
		}
		if err != nil {
			return at(err, "node %s", where.node)
		}
	}
	return nil
}

func (l *Lab) mendWires() error {
	var errs []error
	for _, end := range l.cut {
		s, b := l.now().site, new(batch)
		index := s.indexes[end.at]
		if end.bare {
			b.clsact(unix.RTM_DELQDISC, 0, index, describe("port %s: mend", end.at.port))
		} else {
			b.beginFilter(unix.RTM_DELTFILTER, 0, index, clsactEgress, cutPriority, 0)
			b.end(describe("port %s: mend", end.at.port))
		}
		errs = append(errs, at(s.grounds[end.at.node].rtnl.do(b), "node %s", end.at.node))
	}
	l.cut = nil
	return errors.Join(errs...)
}

func (b *batch) clsact(kind, flags uint16, index int, what func() string) {
	b.beginQdisc(kind, flags, index, clsactQdisc, clsactHandle)
	b.text(unix.TCA_KIND, "clsact")
	b.end(what)
}

// takeAll has a filter of tc take all that an interface sends, without a word to who sent it: a
// program of one classic instruction (tc-bpf(8): bytecode '1,6 0 0 4' da).
func (b *batch) takeAll(index int, what func() string) {
	const (
		opsLen, ops, flags = 4, 5, 8 // TCA_BPF_OPS_LEN, TCA_BPF_OPS, TCA_BPF_FLAGS
		directAction       = 1       // TCA_BPF_FLAG_ACT_DIRECT
		ret, stolen        = 6, 4    // BPF_RET | BPF_K, TC_ACT_STOLEN
	)
	program := binary.NativeEndian.AppendUint16(nil, ret)
	program = binary.NativeEndian.AppendUint32(append(program, 0, 0), stolen)
	b.beginFilter(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL, index, clsactEgress, cutPriority, unix.ETH_P_ALL)
	b.text(unix.TCA_KIND, "bpf")
	nested := b.nest(unix.TCA_OPTIONS)
	b.attr(opsLen, binary.NativeEndian.AppendUint16(nil, 1))
	b.attr(ops, program)
	b.u32(flags, directAction)
	nested()
	b.end(what)
}

// partitionTable is where the switches' ports of groups are kept apart.
var partitionTable = &nftables.Table{Family: nftables.TableFamilyBridge, Name: reserved + "partition"}

// cutSwitches has what comes in at a switch's end be marked with its group, and dropped where it is
// to leave by another's. The mark stays in the switches' namespace.
func (s *site) cutSwitches(groups map[string]int) error {
	if s.fabric == nil {
		return nil
	}
	number := func(n int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }
	is := func(key expr.MetaKey, n int, op expr.CmpOp) []expr.Any {
		return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: number(n)}}
	}
	return s.onSwitches(func(conn *nftables.Conn) {
		table := conn.AddTable(partitionTable)
		chain := func(name string, hook *nftables.ChainHook) *nftables.Chain {
			return conn.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFirst})
		}
		marks, cuts := chain("marks", nftables.ChainHookPrerouting), chain("cuts", nftables.ChainHookForward)
		for where, index := range s.outer {
			group := groups[where.node] + 1
			conn.AddRule(&nftables.Rule{Table: table, Chain: marks, Exprs: append(is(expr.MetaKeyIIF, index, expr.CmpOpEq),
				&expr.Immediate{Register: 1, Data: number(group)}, &expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true})})
			conn.AddRule(&nftables.Rule{Table: table, Chain: cuts, Exprs: slices.Concat(is(expr.MetaKeyOIF, index, expr.CmpOpEq),
				is(expr.MetaKeyMARK, group, expr.CmpOpNeq), []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}})})
		}
	})
}

func (s *site) mendSwitches() error {
	if s.fabric == nil {
		return nil
	}
	return s.onSwitches(func(conn *nftables.Conn) {
		conn.AddTable(partitionTable) // it may not be there
		conn.DelTable(partitionTable)
	})
}

func (s *site) onSwitches(do func(*nftables.Conn)) error {
	return at(once(s.fabric.enter, func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		do(conn)
		return conn.Flush()
	}), "switches")
}

// parts says whether two nodes are in different groups.
func (l *Lab) parts(a, b string) bool {
	groups := l.Parted()
	return groups != nil && groups[a] != groups[b]
}
