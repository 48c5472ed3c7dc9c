package watch

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// use is the most that a rule did with packets of probes.
type use int

const (
	never   use = iota // no such packet matched it
	matched            // it did what it does, which is no verdict: it counted, marked, jumped
	decided            // it gave the verdict
)

func (u use) String() string { return [...]string{"never", "matched", "decided"}[u] }

// use is what an event says of which rule.
func (e traceEvent) use() (ruleRef, use) {
	ref := ruleRef{e.family, e.table, e.chain, e.handle}
	switch {
	case e.kind == tracePolicy:
		ref.handle = 0
		return ref, decided
	case e.handle == 0: // the end of a chain that was jumped to
		return ref, never
	case e.kind == traceRule && e.verdict >= 0: // below are continue, jump and return
		return ref, decided
	}
	return ref, matched
}

// uses are what a tracer hears for its node's ledger; nil where coverage is not
// wanted. Its reader alone hears.
type uses struct {
	*ledger
	netlink *netlink.Conn
	mark    wire.Mark
	flows   []wire.Flow
	before  *ruleset        // when the trace began
	ours    map[uint32]bool // packets of probes, by what the kernel calls them
	heard   map[ruleRef]use
}

// openUses reads the rules that are to be heard of. The calling thread is in the
// node's namespace.
func openUses(node *harness.Node, nft *nftables.Conn, m wire.Mark, flows []wire.Flow) *uses {
	if !covers(node) {
		return nil
	}
	u := &uses{ledger: ledgerOf(node), mark: m, flows: flows, ours: map[uint32]bool{}, heard: map[ruleRef]use{}}
	var err error
	if u.netlink, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		u.complain("open netlink: %v", err)
		return nil
	}
	if u.before, err = u.read(nft); err != nil {
		u.complain("read rules: %v", err)
		u.close()
		return nil
	}
	return u
}

func (u *uses) read(nft *nftables.Conn) (*ruleset, error) {
	generation, err := generationOf(u.netlink)
	if err != nil {
		return nil, err
	}
	return u.look(nft, generation)
}

// hear notes an event of a probe's packet: a test's own rules may have others
// traced. A packet shows itself where it enters a base chain, and its number is
// soon another's.
func (u *uses) hear(e traceEvent) {
	if u == nil {
		return
	}
	if e.packet != nil {
		if u.ours[e.id] = u.isProbes(e.packet); !u.ours[e.id] {
			delete(u.ours, e.id)
		}
	}
	if u.ours[e.id] && !isTraceTable(e.table) {
		ref, did := e.use()
		u.heard[ref] = max(did, u.heard[ref])
	}
}

// isProbes says of a packet what matches says to the kernel.
func (u *uses) isProbes(p *wire.Packet) bool {
	return slices.ContainsFunc(u.flows, func(f wire.Flow) bool {
		switch f.Protocol {
		case wire.ICMP:
			return p.IsEcho() && bytes.HasPrefix(p.Payload, u.mark[:])
		case wire.UDP:
			return p.Protocol == unix.IPPROTO_UDP && (p.SourcePort == f.Port ||
				bytes.HasPrefix(p.Payload, []byte(wire.RequestWord)) || bytes.HasPrefix(p.Payload, []byte(wire.AnswerWord)))
		case wire.TCP:
			return p.Protocol == unix.IPPROTO_TCP && p.Flags&(wire.SYN|wire.RST) != 0
		}
		return false
	})
}

func (u *uses) lose(err error) {
	if u != nil {
		u.complain("%v: what is said never to be tried may have been", err)
	}
}

// settle puts down what was heard, by the rules as they were when it began, or
// as they are now.
func (u *uses) settle(nft *nftables.Conn) {
	if u == nil || len(u.heard) == 0 {
		return
	}
	after, err := u.read(nft)
	if err != nil {
		u.complain("read rules: %v", err)
		after = u.before
	}
	for ref, did := range u.heard {
		rule, ok := u.before.byRef[ref]
		if !ok {
			rule, ok = after.byRef[ref]
		}
		switch {
		case ok:
			u.note(rule, did)
		case did != never:
			u.complain("a rule of %s was tried, and gone before it could be read",
				strings.Join([]string{familyNames[ref.family], ref.table, ref.chain}, " "))
		}
	}
}

// commit is a change of the rules by flush. It is of a watch's own tables: where
// it is the only one, the user's rules are as they were read, and need not be read
// again, which takes nft some 10 ms.
func (u *uses) commit(flush func() error) error {
	if u == nil {
		return flush()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	err := flush()
	if generation, failed := generationOf(u.netlink); err == nil && failed == nil && u.now != nil && generation == u.now.generation+1 {
		u.now.generation = generation
	}
	return err
}

func (u *uses) close() {
	if u != nil {
		_ = u.netlink.Close()
	}
}

// generationOf is how often the rules of a namespace were changed.
func generationOf(conn *netlink.Conn) (generation uint32, err error) {
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return 0, err
	}
	for _, reply := range replies {
		if len(reply.Data) < 4 {
			continue
		}
		decoder, err := netlink.NewAttributeDecoder(reply.Data[4:])
		if err != nil {
			return 0, err
		}
		decoder.ByteOrder = binary.BigEndian
		for decoder.Next() {
			if decoder.Type() == unix.NFTA_GEN_ID {
				generation = decoder.Uint32()
			}
		}
		if err := decoder.Err(); err != nil {
			return 0, err
		}
	}
	return generation, nil
}
