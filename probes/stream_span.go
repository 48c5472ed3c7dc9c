package probes

import (
	"fmt"
	"time"
)

// Span is the longest time that a way was open, or closed, as far as a Flow can tell.
type Span struct {
	// Packets is how many in a row had that fate, at most.
	Packets int
	// AtLeast is how long it was so for certain, and AtMost how long it can have been: from
	// the last packet before that had the other fate to the first one after. Where no packet had it,
	// that is how long it can have been so between two of them, unseen.
	AtLeast, AtMost time.Duration
	// Cut is true where the stream began or ended in such a time: then it may have been so for
	// longer than AtMost.
	Cut bool
}

// String is the span in a few words: 3.1ms to 5.2ms (3 packets).
func (s Span) String() string {
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
	most := "to " + round(s.AtMost).String()
	if s.Cut {
		most = "and longer"
	}
	return fmt.Sprintf("%s %s (%d packets)", round(s.AtLeast), most, s.Packets)
}

// Open is how long the way was open without a break: packets arrived. Its upper bound takes
// it that none that was lost was on its way for longer than the slowest that arrived.
func (f Flow) Open() Span { return f.span(true) }

// Closed is how long the way was closed without a break: what was sent was lost, or was not let
// out. Of a flow that all arrived of, AtMost is the longest time between two.
func (f Flow) Closed() Span { return f.span(false) }

func (p FlowPacket) arrived() bool { return !p.Arrived.IsZero() }

// span is the longest time in which packets arrived, or did not. A packet has met what decides
// about it between Sent and met.
func (f Flow) span(open bool) (s Span) {
	slowest := f.slowest()
	met := func(p FlowPacket) time.Time {
		if p.arrived() {
			return p.Arrived
		}
		return p.gone.Add(slowest)
	}
	longer := func(from, to FlowPacket) { s.AtMost = max(s.AtMost, met(to).Sub(from.Sent)) }
	first, other := -1, -1 // of those in a row, and the last that had the other fate
	for i, p := range f.Packets {
		if p.arrived() != open {
			if i > 0 {
				longer(f.Packets[max(other, 0)], p)
			}
			other, first = i, -1
			continue
		}
		if first < 0 {
			first = i
		}
		s.Packets = max(s.Packets, i-first+1)
		s.AtLeast = max(s.AtLeast, p.Sent.Sub(met(f.Packets[first])))
		if s.Cut = s.Cut || first == 0 || i == len(f.Packets)-1; s.Cut {
			longer(f.Packets[max(other, 0)], p)
		}
	}
	return s
}

// slowest is how long the slowest packet was on its way after the kernel had taken it.
func (f Flow) slowest() (slowest time.Duration) {
	for _, p := range f.Packets {
		if p.arrived() {
			slowest = max(slowest, p.Arrived.Sub(p.gone))
		}
	}
	return slowest
}
