package watch

import (
	"bytes"
	"encoding/hex"
	"sync"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// follower tells a flow's packets apart.
type follower struct {
	wire.Flow
	mu     sync.Mutex
	isn    uint32
	knows  bool // the initial sequence number
	fresh  bool // since the last call of learned
	tuples map[place]bool
}

// place is a tuple seen at a node.
type place struct {
	node string
	wire.Tuple
}

func follow(f wire.Flow) *follower { return &follower{Flow: f, tuples: map[place]bool{}} }

// role is what a packet seen at a node is to the flow; 0 when it is nothing to it.
func (f *follower) role(node string, p *wire.Packet) evidence.Role {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case p.Fragment:
		return 0
	case f.isRequest(node, p):
		f.tuples[place{node, p.Tuple()}] = true
		return evidence.Request
	case p.About != nil:
		switch {
		case f.isRequest(node, p.About) || f.tuples[place{node, p.About.Tuple()}]:
			return evidence.Refusal
		case f.isAnswer(node, p.About):
			return evidence.Undone
		}
		return 0
	case f.isAnswer(node, p):
		if p.Protocol == unix.IPPROTO_TCP && p.Flags&wire.RST != 0 {
			return evidence.Refusal
		}
		return evidence.Answer
	}
	return 0
}

// learned is the initial sequence number, once, when it has become known.
func (f *follower) learned() (isn uint32, fresh bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh, f.fresh = f.fresh, false
	return f.isn, fresh
}

// isnOf is the initial sequence number of the connection that a packet belongs to
// at its opening, or that a quoted one does.
func isnOf(p *wire.Packet) (uint32, bool) {
	if p.About != nil {
		p = p.About
	}
	switch {
	case p.Protocol != unix.IPPROTO_TCP || p.Fragment:
		return 0, false
	case p.Flags&wire.ACK != 0:
		return p.Ack - 1, true
	}
	return p.Seq, p.Flags&wire.SYN != 0
}

func (f *follower) isRequest(node string, p *wire.Packet) bool {
	switch f.Protocol {
	case wire.ICMP:
		return p.IsEchoRequest() && f.hasNonce(p.Payload)
	case wire.UDP:
		rest, ok := bytes.CutPrefix(p.Payload, []byte(wire.RequestWord))
		echoed := f.tuples[place{node, p.Tuple().Reverse()}] // by a service that sends back what it gets
		return ok && p.Protocol == unix.IPPROTO_UDP && f.hasNonce(rest) && !echoed
	case wire.TCP:
		if p.Protocol != unix.IPPROTO_TCP || p.Flags&(wire.SYN|wire.ACK|wire.RST) != wire.SYN {
			return false
		}
		if f.knows {
			return p.Seq == f.isn
		}
		if node == f.From && p.SourcePort == f.SourcePort && p.DestinationPort == f.Port && p.Destination == f.Addr {
			f.isn, f.knows, f.fresh = p.Seq, true, true
			return true
		}
	}
	return false
}

func (f *follower) isAnswer(node string, p *wire.Packet) bool {
	switch f.Protocol {
	case wire.ICMP:
		return p.IsEchoReply() && f.hasNonce(p.Payload)
	case wire.UDP:
		if p.Protocol != unix.IPPROTO_UDP {
			return false
		}
		if rest, ok := bytes.CutPrefix(p.Payload, []byte(wire.AnswerWord)); ok {
			return f.hasHexNonce(rest)
		}
		return f.tuples[place{node, p.Tuple().Reverse()}]
	case wire.TCP:
		if p.Protocol != unix.IPPROTO_TCP || p.Flags&(wire.SYN|wire.RST) == 0 || !f.knows {
			return false
		}
		return p.Flags&wire.ACK != 0 && p.Ack == f.isn+1 || f.tuples[place{node, p.Tuple().Reverse()}]
	}
	return false
}

// hasNonce says whether the nonce stands there, or as much of it as is left of a
// packet that was cut off, the mark and four bytes of its own at least; a trace
// has less of a datagram.
func (f *follower) hasNonce(payload []byte) bool {
	n := min(len(payload), wire.NonceSize)
	if f.Protocol == wire.UDP && n < 4 || f.Protocol == wire.ICMP && n < wire.MarkSize+4 {
		return false
	}
	return bytes.Equal(payload[:n], f.Nonce[:n])
}

func (f *follower) hasHexNonce(payload []byte) bool {
	text := hex.EncodeToString(f.Nonce[:])
	n := min(len(payload), len(text))
	return n >= 4 && string(payload[:n]) == text[:n]
}
