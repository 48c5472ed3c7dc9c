package watch

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// tracer hears what the rules of one namespace do with the watched packets. It
// sets their trace flag with a table of its own, before all other chains; the
// user's tables stay as they are.
type tracer struct {
	node   *harness.Node
	events *netlink.Conn
	nft    *nftables.Conn
	name   string // of its tables
	tables []*nftables.Table
	uses   *uses // for rule coverage, where that is wanted
}

// traceTable is the table's name. A tracer has its own, so that several may run.
const traceTable = "nstest-trace-%x"

// tracePriority is before connection tracking (-200) and raw (-300), so that
// rules there are traced as well.
const tracePriority = -500

// inetIngress is the hook of an interface as family inet numbers it: NF_INET_INGRESS,
// linux/netfilter.h.
const inetIngress = 5

// nodeRules are the tables that a node has, none of them a watch's.
func nodeRules(conn *nftables.Conn) (tables []*nftables.Table, err error) {
	all, err := conn.ListTables()
	if err != nil {
		return nil, err
	}
	for _, table := range all {
		if !isTraceTable(table.Name) {
			tables = append(tables, table)
		}
	}
	return tables, nil
}

func isTraceTable(name string) bool {
	var of uint64
	n, _ := fmt.Sscanf(name, traceTable, &of)
	return n > 0
}

// openTracer installs the trace at a node that has rules, or rules of the old kind that
// want the flag; nil where it has none. The calling thread is in the node's namespace.
func openTracer(node *harness.Node, m wire.Mark, flows []wire.Flow, legacy bool) (*tracer, error) {
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, err
	}
	own := wire.NewMark()
	t := &tracer{node: node, nft: conn, name: fmt.Sprintf(traceTable, own[:])}
	tables, err := nodeRules(conn)
	if err != nil || len(tables) == 0 && !legacy {
		return nil, errors.Join(err, conn.CloseLasting())
	}
	if t.events, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return nil, errors.Join(err, conn.CloseLasting())
	}
	_ = t.events.SetReadBuffer(4 << 20) // as much of it as rmem_max allows
	t.uses = openUses(node, conn, m, flows)
	if err = t.events.JoinGroup(unix.NFNLGRP_NFTRACE); err == nil {
		err = t.install(m, flows, tables)
	}
	if err == nil {
		err = t.uses.commit(conn.Flush)
	}
	if err != nil {
		t.uses.close()
		return nil, errors.Join(err, t.events.Close(), conn.CloseLasting())
	}
	return t, nil
}

// install makes the tables: a chain that sets the flag comes first at every hook
// where a packet enters the rules, and an empty one last, which tells what address
// translation made of it before it is routed.
func (t *tracer) install(m wire.Mark, flows []wire.Flow, theirs []*nftables.Table) error {
	families := []nftables.TableFamily{nftables.TableFamilyINet}
	for _, table := range theirs {
		if table.Family == nftables.TableFamilyBridge {
			families = append(families, nftables.TableFamilyBridge)
			break
		}
	}
	conditions := func() [][]expr.Any { return matches(m, flows) }
	for _, family := range families {
		table := t.addTable(family)
		for name, hook := range map[string]*nftables.ChainHook{"in": nftables.ChainHookPrerouting, "out": nftables.ChainHookOutput} {
			t.addChain(nftables.Chain{Name: name, Table: table, Hooknum: hook}, tracePriority, conditions())
			t.addChain(nftables.Chain{Name: name + "-translated", Table: table, Hooknum: hook}, -tracePriority, nil)
		}
	}
	return t.installIngress(conditions, theirs)
}

// installIngress traces what comes before the other hooks: the chains of interfaces,
// where there are any.
func (t *tracer) installIngress(conditions func() [][]expr.Any, theirs []*nftables.Table) error {
	has := slices.ContainsFunc(theirs, func(table *nftables.Table) bool { return table.Family == nftables.TableFamilyNetdev })
	if !has {
		chains, err := t.nft.ListChainsOfTableFamily(nftables.TableFamilyINet)
		if err != nil {
			return err
		}
		has = slices.ContainsFunc(chains, func(c *nftables.Chain) bool { return c.Hooknum != nil && *c.Hooknum == inetIngress })
	}
	if !has {
		return nil
	}
	links, err := t.node.Netlink().LinkList()
	if err != nil {
		return err
	}
	table := t.addTable(nftables.TableFamilyNetdev)
	for _, link := range links {
		name := fmt.Sprintf("in-%d", link.Attrs().Index)
		t.addChain(nftables.Chain{Name: name, Table: table, Hooknum: nftables.ChainHookIngress, Device: link.Attrs().Name}, tracePriority, conditions())
	}
	return nil
}

func (t *tracer) addTable(family nftables.TableFamily) *nftables.Table {
	table := t.nft.AddTable(&nftables.Table{Family: family, Name: t.name})
	t.tables = append(t.tables, table)
	return table
}

// addChain makes a chain that sets the trace flag where a condition holds.
func (t *tracer) addChain(c nftables.Chain, priority nftables.ChainPriority, conditions [][]expr.Any) {
	c.Type, c.Priority = nftables.ChainTypeFilter, &priority
	chain := t.nft.AddChain(&c)
	for _, match := range conditions {
		t.nft.AddRule(&nftables.Rule{Table: c.Table, Chain: chain, Exprs: append(match,
			&expr.Immediate{Register: 1, Data: []byte{1}},
			&expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1})})
	}
}

// matches are the rules' conditions: what of a namespace's traffic is traced.
func matches(m wire.Mark, flows []wire.Flow) [][]expr.Any {
	has := map[wire.Protocol]bool{}
	ports := map[uint16]bool{}
	for _, f := range flows {
		has[f.Protocol] = true
		if f.Protocol == wire.UDP {
			ports[f.Port] = true
		}
	}
	var all [][]expr.Any
	if has[wire.ICMP] {
		all = append(all, transport(8, m[:]...))
	}
	if has[wire.UDP] {
		all = append(all, transport(8, []byte(wire.RequestWord)...), transport(8, []byte(wire.AnswerWord)...))
		for port := range ports { // services that are not ours
			all = append(all, append(l4(unix.IPPROTO_UDP), transport(0, byte(port>>8), byte(port))...))
		}
	}
	if has[wire.TCP] {
		all = append(all, append(l4(unix.IPPROTO_TCP),
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{wire.SYN | wire.RST}, Xor: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}}))
	}
	return all
}

func l4(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
	}
}

// transport compares bytes from an offset of the transport header on.
func transport(offset uint32, data ...byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: uint32(len(data))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: data},
	}
}

// read hands every event to hear until the tracer is stopped.
func (t *tracer) read(hearing sync.Locker, hear func(*tracer, traceEvent), lose func(error)) {
	readEvents(t.events, hearing, func(data []byte) { t.hearAll(data, hear) }, lose)
}

// hearAll reads the messages of a datagram.
func (t *tracer) hearAll(data []byte, hear func(*tracer, traceEvent)) {
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return
	}
	for _, m := range messages {
		if m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_TRACE {
			continue
		}
		if event, ok := parseTrace(m.Data); ok {
			event.at = time.Now()
			hear(t, event)
		}
	}
}

// stop ends read.
func (t *tracer) stop() { _ = t.events.SetReadDeadline(time.Unix(1, 0)) }

// close takes the trace table away.
func (t *tracer) close() error {
	t.uses.settle(t.nft)
	for _, table := range t.tables {
		t.nft.DelTable(table)
	}
	err := t.uses.commit(t.nft.Flush)
	t.uses.close()
	if errors.Is(err, unix.ENOENT) {
		err = nil // somebody flushed the ruleset
	}
	return errors.Join(err, t.events.Close(), t.nft.CloseLasting())
}
