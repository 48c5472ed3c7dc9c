package policy

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

var errLost = errors.New("the kernel told more of it than could be read")

// place is a rule, or with handle 0 a base chain's policy.
type place struct {
	family, table, chain string
	handle               uint64
}

// step is what a rule or policy did with a packet.
type step struct {
	place
	verdict int32 // see watch.TraceStep
}

// decides says whether the packet's way through the chain ended there.
func (s step) decides() bool { return s.handle == 0 || s.verdict >= 0 }

// heard is what the kernel's trace told of a packet.
type heard struct {
	steps []step
	// hooks are those that it came past, in order.
	hooks []string
	ended bool // a rule dropped it, or it came past all hooks
	drops bool
	// header is the packet's as it was at its last base chain, out where it was to leave.
	header []byte
	out    int
	err    error // that it could not be sent
}

// passed says whether no rule stopped the packet: it came past all hooks.
func (h *heard) passed() bool { return h.ended && !h.drops && h.err == nil }

// returns says whether a header is the packet's as the node sent it to itself: the kernel has another number for it where it comes in.
func (h *heard) returns(header []byte) bool {
	if h.out != lo || len(h.header) == 0 {
		return false
	}
	src, dst, protocol := ends(header)
	wasSrc, wasDst, wasProtocol := ends(h.header)
	return src == wasSrc && dst == wasDst && protocol == wasProtocol
}

// task is a packet to be sent, and what was heard of it.
type task struct {
	packet Packet
	stays  bool // it may go on past the rules: it opens a connection
	id     uint32
	heard  heard
}

// ask sends packets and hears what the rules do with each. One of which no end was heard is sent again, when
// there is nothing else to wait for: where it ends then without one, the kernel itself took it.
func (k *kernel) ask(tasks []*task) {
	const each = 16 << 10 // what the trace of a packet takes of the buffer, in most rulesets
	size := max(1, min(k.trace.Room()/each, 500))
	for len(tasks) > 0 {
		n := min(size, len(tasks))
		lost := k.batch(tasks[:n], patience)
		switch {
		case lost && n > 1:
			size = n / 2
			continue
		case lost:
			tasks[0].heard = heard{err: errLost}
		}
		var again []*task
		for _, t := range tasks[:n] {
			if !t.heard.ended && t.heard.err == nil && !t.stays {
				again = append(again, t)
			}
		}
		if len(again) > 0 {
			if k.batch(again, longPatience) {
				for _, t := range again {
					t.heard = heard{err: errLost}
				}
			}
		}
		tasks = tasks[n:]
	}
}

// patience is how long packets of which nothing is heard are waited for: at first, and when they are sent again.
const (
	patience     = 40 * time.Millisecond
	longPatience = 300 * time.Millisecond
)

// batch sends some at once, and reads until each has ended, or nothing came for so long.
func (k *kernel) batch(tasks []*task, patience time.Duration) (lost bool) {
	e := &ears{byID: map[uint32]*task{}, known: map[uint32]*task{}, open: len(tasks)}
	for _, t := range tasks {
		t.id, t.heard = k.next(t.stays), heard{}
		e.byID[t.id] = t
		if t.heard.err = k.send(&t.packet, t.id); t.heard.err != nil {
			t.heard.ended = true
			e.open--
		}
	}
	for {
		lost = k.trace.Read(e.hear) || lost
		if e.open <= 0 {
			return lost
		}
		poll := []unix.PollFd{{Fd: int32(k.trace.FD()), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(patience.Milliseconds()))
		if n == 0 && err == nil {
			return lost
		}
	}
}

// next is the number of a new packet: odd where it may stay.
func (k *kernel) next(stays bool) uint32 {
	const room = 1 << 16 // of IPv4's identification
	k.number = (k.number + 2) % room
	if k.number < 2 {
		k.number = 2 // 0 the kernel replaces
	}
	if stays {
		return k.number + 1
	}
	return k.number
}

// ears know packets again.
type ears struct {
	byID  map[uint32]*task // by the number that it was sent under
	known map[uint32]*task // by what the kernel calls it
	open  int
}

func (e *ears) hear(s *watch.TraceStep) {
	if s.Header != nil {
		t := e.byID[idOf(s.Header)]
		switch {
		case t != nil && (e.known[s.ID] == t || t.packet.is(s.Header) || t.heard.returns(s.Header)):
			e.known[s.ID] = t
			t.heard.header = append(t.heard.header[:0], s.Header...)
		default:
			delete(e.known, s.ID)
		}
	}
	t := e.known[s.ID]
	if t == nil {
		return
	}
	h := &t.heard
	if s.Out != 0 {
		h.out = s.Out
	}
	own := s.Table == ownTable
	hook, isLast := strings.CutSuffix(s.Chain, last)
	switch {
	case own && isLast && (s.Policy || s.Verdict >= 0 && s.Handle != 0):
		h.hooks = append(h.hooks, hook)
		if hook == "input" || hook == "postrouting" && s.Out != lo {
			e.end(h)
		}
		if s.Verdict == 0 {
			e.end(h)
		}
	case own:
	case s.Policy || s.Handle != 0:
		h.steps = append(h.steps, step{place{s.Family, s.Table, s.Chain, s.Handle}, s.Verdict})
		if s.Verdict == 0 {
			h.drops = true
			e.end(h)
		}
	}
}

func (e *ears) end(h *heard) {
	if !h.ended {
		h.ended = true
		e.open--
	}
}

// idOf is the number that a packet was sent under.
func idOf(header []byte) uint32 {
	const v4, v6, label = 20, 40, 0xfffff
	switch {
	case len(header) >= v4 && header[0]>>4 == 4:
		return uint32(binary.BigEndian.Uint16(header[4:]))
	case len(header) >= v6 && header[0]>>4 == 6:
		return binary.BigEndian.Uint32(header) & label
	}
	return 0
}

// is says whether a header is the packet's, as it was sent.
func (p *Packet) is(header []byte) bool {
	src, dst, protocol := ends(header)
	return src == p.Source.Addr() && dst == p.Destination.Addr() && protocol == p.Protocol
}

func ends(header []byte) (src, dst netip.Addr, protocol uint8) {
	const v4, v6 = 20, 40
	switch {
	case len(header) >= v4 && header[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(header[12:])), netip.AddrFrom4([4]byte(header[16:])), header[9]
	case len(header) >= v6:
		return netip.AddrFrom16([16]byte(header[8:])), netip.AddrFrom16([16]byte(header[24:])), header[6]
	}
	return netip.Addr{}, netip.Addr{}, 0
}
