package evidence

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// Protocol is what a probe speaks.
type Protocol int

// The protocols of probes.
const (
	ICMP Protocol = iota + 1
	TCP
	UDP
)

// The first bytes of what a probe sends by UDP, and of a signed answer to it; the
// nonce follows, as it is in a request and in hexadecimal in an answer.
const (
	RequestWord = "nstest? "
	AnswerWord  = "nstest! "
)

// NonceSize is the length of a probe's nonce in bytes.
const NonceSize = 16

// Flow is one probe: what it sends, and how to tell its packets from all others.
// Translation may change every address and port on the way, so a request is known
// by its nonce (ICMP, UDP) or its initial sequence number (TCP); what comes back
// by the same, or by being the reverse of a request seen at the same place.
type Flow struct {
	// From is the asking node's name.
	From string
	// To is the node that is to answer; "" when only its address is known.
	To string
	// Addr is the address that is asked.
	Addr netip.Addr
	// Protocol is what is sent.
	Protocol Protocol
	// Port is the target's; 0 for ICMP.
	Port uint16
	// SourcePort is the asker's own, for TCP.
	SourcePort uint16
	// Nonce is in the payload of ICMP and UDP. Its first MarkSize bytes are the
	// watch's mark.
	Nonce [NonceSize]byte
}

// Role is what a packet is to a flow.
type Role int

// The roles.
const (
	Request Role = iota + 1 // the probe itself
	Answer                  // an echo reply, a datagram back, a SYN,ACK
	Refusal                 // a reset, or an ICMP error about the request
	Undone                  // an ICMP error about the answer, on its way to who answered
)

// String is the role in a word.
func (r Role) String() string {
	switch r {
	case Request:
		return "request"
	case Answer:
		return "answer"
	case Refusal:
		return "refusal"
	case Undone:
		return "error about the answer"
	}
	return "nothing"
}

// follower tells a flow's packets apart.
type follower struct {
	Flow
	mu     sync.Mutex
	isn    uint32
	knows  bool // the initial sequence number
	fresh  bool // since the last call of learned
	tuples map[place]bool
}

// place is a tuple seen at a node.
type place struct {
	node string
	tuple
}

func follow(f Flow) *follower { return &follower{Flow: f, tuples: map[place]bool{}} }

// role is what a packet seen at a node is to the flow; 0 when it is nothing to it.
func (f *follower) role(node string, p *packet) Role {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case p.fragment:
		return 0
	case f.isRequest(node, p):
		f.tuples[place{node, p.tuple()}] = true
		return Request
	case p.aboutErr != nil:
		switch {
		case f.isRequest(node, p.aboutErr) || f.tuples[place{node, p.aboutErr.tuple()}]:
			return Refusal
		case f.isAnswer(node, p.aboutErr):
			return Undone
		}
		return 0
	case f.isAnswer(node, p):
		if p.protocol == unix.IPPROTO_TCP && p.flags&tcpRST != 0 {
			return Refusal
		}
		return Answer
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
func isnOf(p *packet) (uint32, bool) {
	if p.aboutErr != nil {
		p = p.aboutErr
	}
	switch {
	case p.protocol != unix.IPPROTO_TCP || p.fragment:
		return 0, false
	case p.flags&tcpACK != 0:
		return p.ack - 1, true
	}
	return p.seq, p.flags&tcpSYN != 0
}

func (f *follower) isRequest(node string, p *packet) bool {
	switch f.Protocol {
	case ICMP:
		return p.isEchoRequest() && f.hasNonce(p.payload)
	case UDP:
		rest, ok := bytes.CutPrefix(p.payload, []byte(RequestWord))
		return ok && p.protocol == unix.IPPROTO_UDP && f.hasNonce(rest)
	case TCP:
		if p.protocol != unix.IPPROTO_TCP || p.flags&(tcpSYN|tcpACK|tcpRST) != tcpSYN {
			return false
		}
		if f.knows {
			return p.seq == f.isn
		}
		if node == f.From && p.sport == f.SourcePort && p.dport == f.Port && p.dst == f.Addr {
			f.isn, f.knows, f.fresh = p.seq, true, true
			return true
		}
	}
	return false
}

func (f *follower) isAnswer(node string, p *packet) bool {
	switch f.Protocol {
	case ICMP:
		return p.isEchoReply() && f.hasNonce(p.payload)
	case UDP:
		if p.protocol != unix.IPPROTO_UDP {
			return false
		}
		if rest, ok := bytes.CutPrefix(p.payload, []byte(AnswerWord)); ok {
			return f.hasHexNonce(rest)
		}
		return f.tuples[place{node, p.tuple().reverse()}]
	case TCP:
		if p.protocol != unix.IPPROTO_TCP || p.flags&(tcpSYN|tcpRST) == 0 || !f.knows {
			return false
		}
		return p.flags&tcpACK != 0 && p.ack == f.isn+1 || f.tuples[place{node, p.tuple().reverse()}]
	}
	return false
}

// hasNonce says whether the nonce stands there, or as much of it as is left of a
// packet that was cut off, the mark and four bytes of its own at least; a trace
// has less of a datagram.
func (f *follower) hasNonce(payload []byte) bool {
	n := min(len(payload), NonceSize)
	if f.Protocol == UDP && n < 4 || f.Protocol == ICMP && n < MarkSize+4 {
		return false
	}
	return bytes.Equal(payload[:n], f.Nonce[:n])
}

func (f *follower) hasHexNonce(payload []byte) bool {
	text := hex.EncodeToString(f.Nonce[:])
	n := min(len(payload), len(text))
	return n >= 4 && string(payload[:n]) == text[:n]
}
