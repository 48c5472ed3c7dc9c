package topo

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// BitRate is how much passes, in bits a second.
type BitRate int64

// Rates, to multiply: 100 * Mbit.
const (
	Kbit BitRate = 1000
	Mbit         = 1000 * Kbit
	Gbit         = 1000 * Mbit
)

// String is the rate in the words of tc(8): "100 Mbit/s".
func (r BitRate) String() string {
	for _, unit := range []struct {
		of   BitRate
		word string
	}{{Gbit, " Gbit/s"}, {Mbit, " Mbit/s"}, {Kbit, " kbit/s"}} {
		if r >= unit.of {
			return strconv.FormatFloat(float64(r)/float64(unit.of), 'f', -1, 64) + unit.word
		}
	}
	return strconv.FormatInt(int64(r), 10) + " bit/s"
}

// Impairment is what happens to packets on their way, in one direction: the zero Impairment is
// a perfect one. Parts are of one: 0.01 is every hundredth packet, by chance.
type Impairment struct {
	// Delay is added to each packet's way, and up to Jitter is added to that or taken from
	// it, evenly: packets overtake one another where they follow more closely than that.
	Delay, Jitter time.Duration
	// Loss is the part that is lost, Duplicate that which comes twice, Corrupt that in which a
	// bit is flipped.
	Loss, Duplicate, Corrupt float64
	// Reorder is the part that is not delayed, and so comes before what was sent earlier.
	Reorder float64
	// Rate is how much passes; 0 for whatever comes. What comes faster waits.
	Rate BitRate
	// Limit is how many packets wait before further ones are dropped: 0 is 1,000 where there is
	// a Rate, and else so many that none is.
	Limit int
}

// IsZero says whether nothing happens to packets.
func (i Impairment) IsZero() bool { return i == Impairment{} }

// Netem says whether the kernel's netem is needed: for all but a rate.
func (i Impairment) Netem() bool { i.Rate, i.Limit = 0, 0; return !i.IsZero() }

// String is what happens to packets: "delay 20ms, loss 1 %, rate 100 Mbit/s".
func (i Impairment) String() string {
	var words []string
	if i.Delay != 0 {
		words = append(words, "delay "+i.Delay.String())
	}
	if i.Jitter != 0 {
		words = append(words, "jitter "+i.Jitter.String())
	}
	for _, part := range i.parts() {
		if part.of != 0 {
			words = append(words, part.word+" "+percent(part.of))
		}
	}
	if i.Rate != 0 {
		words = append(words, "rate "+i.Rate.String())
	}
	if i.Limit != 0 {
		words = append(words, fmt.Sprintf("limit %d", i.Limit))
	}
	return strings.Join(words, ", ")
}

func percent(part float64) string { return strconv.FormatFloat(100*part, 'g', 6, 64) + " %" }

type impairedPart struct {
	word string
	of   float64
}

func (i Impairment) parts() []impairedPart {
	return []impairedPart{{"loss", i.Loss}, {"duplicate", i.Duplicate}, {"reorder", i.Reorder}, {"corrupt", i.Corrupt}}
}

// maxDelay is more than anybody waits for.
const maxDelay = time.Hour

// Check says what is wrong with it; nil for nothing.
func (i Impairment) Check() error { return errors.Join(i.problems()...) }

func (i Impairment) problems() (problems []error) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if i.Delay < 0 || i.Delay > maxDelay {
		wrong("delay %s: it is between 0 and %s", i.Delay, maxDelay)
	}
	if i.Jitter < 0 || i.Jitter > i.Delay {
		wrong("jitter %s: it is between 0 and the delay, %s: nothing comes before it was sent", i.Jitter, i.Delay)
	}
	for _, part := range i.parts() {
		if !(part.of >= 0 && part.of <= 1) { // nor NaN
			wrong("%s %v: it is a part of one, between 0 and 1: every hundredth packet is 0.01", part.word, part.of)
		}
	}
	if i.Reorder > 0 && i.Delay == 0 {
		wrong("reorder %s: what is not delayed overtakes what is, and nothing is: give a delay", percent(i.Reorder))
	}
	if i.Rate < 0 || i.Rate > 0 && i.Rate < Kbit {
		wrong("rate %d: it is in bits a second, and at least %s: write 100 * topo.Mbit", int64(i.Rate), Kbit)
	}
	if i.Limit < 0 || i.Limit > maxLimit {
		wrong("limit %d: it is how many packets wait, between 0 and %d", i.Limit, maxLimit)
	}
	if i.Limit > 0 && i.Delay == 0 && i.Rate == 0 {
		wrong("limit %d: no packet waits without a delay or a rate: give one, or leave it out", i.Limit)
	}
	return problems
}

// maxLimit is more than memory holds.
const maxLimit = 1 << 30

// Impair has this happen to what each node sends on the segment, but for ports that choose
// for themselves: a way there and back has it twice.
//
//	wan := office.Wire("wan", "10.0.9.0/24").Impair(topo.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01})
//
// It begins when the lab is up, which takes the kernel's word for it: harness's Lab.MeasureImpairments sends frames
// and says whether it is so.
func (s *Segment) Impair(i Impairment) *Segment {
	if s != nil {
		s.impaired = i
	}
	return s
}

// Impair has this happen to what the node sends there, instead of what the segment has of it.
func (p Port) Impair(i Impairment) Port {
	p.sends, p.chosenSends = i, true
	return p
}

// ImpairReceived has this happen to what comes to the node there from the segment's wire or
// switch. On a wire it is what the other end sends.
func (p Port) ImpairReceived(i Impairment) Port {
	p.receives, p.chosenReceives = i, true
	return p
}

// planImpairments plans what happens on ports' ways, and to checksums, once it is known who is on which segment.
func (p *planner) planImpairments() {
	for _, segment := range p.network.segments {
		p.checkImpairment("segment "+shown(segment.name), segment.impaired)
	}
	p.eachKnownPort(p.planSent)
	p.eachKnownPort(p.planReceived)
	p.planPairs()
}

func (p *planner) eachKnownPort(f func(at end, port *Port)) {
	for i, node := range p.network.nodes {
		for j := range node.ports {
			if at := (end{i, j}); !p.unknown[at] {
				f(at, &node.ports[j])
			}
		}
	}
}

func (p *planner) planSent(at end, port *Port) {
	on, _ := p.segmentOf(at)
	plan := &p.plan.Nodes[at.node].Ports[at.port]
	plan.Sends, plan.NoOffload = p.network.segments[on].impaired, p.network.segments[on].whole
	if port.chosenSends {
		p.checkImpairment(p.place(at), port.sends)
		plan.Sends = port.sends
	}
}

func (p *planner) planReceived(at end, port *Port) {
	if !port.chosenReceives {
		return
	}
	p.checkImpairment(p.place(at), port.receives)
	on := p.segments[port.segment]
	switch p.plan.Segments[on].Kind {
	case KindSwitch:
		p.plan.Nodes[at.node].Ports[at.port].Receives = port.receives
	case KindWire:
		for _, other := range p.ends[on] {
			if other == at {
				continue
			}
			if p.network.nodes[other.node].ports[other.port].chosenSends {
				p.wrong("%s: what comes there is what node %s sends, of which something was chosen as well: leave one out", p.place(at), p.nodeName(other.node))
			}
			p.plan.Nodes[other.node].Ports[other.port].Sends = port.receives
		}
	default:
		p.wrong("%s: what comes there passes no end of its own: choose what happens to it where it is sent", p.place(at))
	}
}

func (p *planner) checkImpairment(where string, i Impairment) {
	for _, problem := range i.problems() {
		p.wrong("%s: impairment: %v", where, problem)
	}
}
