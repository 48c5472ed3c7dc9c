package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nstest/nstest/topo"
)

// MeasureImpairments sends frames on every way that the plan impairs, and says what became of them:
// whether they were lost, delayed and held back as was set (Impair), or not, by somebody who changed a
// queue behind the lab's back, say. Nothing else does: Up believes the kernel, for it takes
// some time, a second a way where the rate is low.
//
//	measured, err := lab.MeasureImpairments(ctx)
//
// The frames are of a protocol that nobody speaks (0x88b5), from the end that sends to the other end of the
// link, and no rule sees them. They should be alone there: what else is sent meanwhile takes its part of
// a rate. The error has all that is not as set, beyond what chance leaves, or what could not
// be measured. A busy machine delays frames and never hastens them: what is too slow is measured
// again for some seconds before it is called so. A failure's bundle has the figures.
//
// Ways of segments over others (VLAN, tunnels) have nothing of their own at the other end, and what is impaired between
// two nodes of a switch (topo.Segment.ImpairBetween) passes the sender's own impairment before: where there is none to measure
// at, or one of both, MeasuredImpairment.Untold says so.
func (l *Lab) MeasureImpairments(ctx context.Context) (all []MeasuredImpairment, err error) {
	if ctx == nil {
		return nil, errors.New("measure impairments: the context is nil")
	}
	l = l.here()
	if err := l.exists(); err != nil {
		return nil, at(err, "measure impairments")
	}
	var failed []error
	for _, w := range l.impairedWays() {
		m, err := w.measure(ctx)
		if err == nil {
			err = m.Err()
		}
		failed = append(failed, at(err, "measure impairments: %s", w.name()))
		all = append(all, m)
		l.noteMeasured(w, m)
	}
	return all, errors.Join(failed...)
}

// way is one direction of a port that is impaired.
type way struct {
	spot
	direction
	pair     spot // that it comes from, where that is impaired by itself
	set      topo.Impairment
	mtu      int
	from, to linkEnd
	// queue is the end whose queue it passes, and lane the part of that which does.
	queue  linkEnd
	lane   lane
	source [6]byte // of frames
	target [6]byte
	untold string // why it cannot be measured
}

// linkEnd is an interface of a namespace; none where the ground is nil.
type linkEnd struct {
	ground *ground
	index  int
}

func (w way) name() string {
	if w.pair.node != "" {
		return fmt.Sprintf("%s/%s receives from %s/%s", w.node, w.port, w.pair.node, w.pair.port)
	}
	if w.direction == receiving {
		return fmt.Sprintf("%s/%s receives", w.node, w.port)
	}
	return fmt.Sprintf("%s/%s sends", w.node, w.port)
}

// impairedWays are those that the plan impairs, in its order.
func (l *Lab) impairedWays() (ways []way) {
	if l.attached {
		return nil
	}
	s := l.now().site
	for i := range s.plan.Nodes {
		node := &s.plan.Nodes[i]
		for j := range node.Ports {
			port, where := &node.Ports[j], spot{node.Name, node.Ports[j].Name}
			for _, d := range []direction{sending, receiving} {
				if set := *d.of(port); !set.IsZero() {
					ways = append(ways, s.way(where, d, set))
				}
			}
			for _, from := range s.queueing(where, receiving, port).from {
				if !from.IsZero() {
					ways = append(ways, s.wayFrom(where, from))
				}
			}
		}
	}
	return ways
}

func (s *site) way(where spot, d direction, set topo.Impairment) way {
	w := way{spot: where, direction: d, set: set, mtu: s.device(where).MTU, source: anybody, target: notForwarded}
	own, far := linkEnd{s.grounds[where.node], s.indexes[where]}, linkEnd{}
	if outer, on := s.outer[where]; on {
		far = linkEnd{s.fabric, outer}
	} else if peer, has := s.farEnd(where); has {
		far = linkEnd{s.grounds[peer.node], s.indexes[peer]}
	}
	w.from, w.to = own, far
	if d == receiving {
		w.from, w.to = far, own
	}
	w.queue, w.mtu = w.from, cmp.Or(w.mtu, defaultMTU)
	if w.from.ground == nil || w.to.ground == nil {
		w.untold = "anything: the segment is over another, and has no other end of its own to measure at"
	}
	return w
}

// wayFrom is that of what comes to a port from one other of its switch: the switch hands it on.
func (s *site) wayFrom(where spot, from queuedFrom) way {
	w := s.way(where, receiving, from.Impairment)
	w.pair, w.from = from.spot, linkEnd{s.grounds[from.node], s.indexes[from.spot]}
	w.lane = s.queueing(where, receiving, s.portOf(where)).lane(from.spot)
	w.source, w.target = s.device(from.spot).MAC, s.device(where).MAC
	if sends := s.portOf(from.spot).Sends; !sends.IsZero() {
		w.untold = fmt.Sprintf("anything: what %s/%s sends has %s of its own", from.node, from.port, sends)
	}
	return w
}

// patience is for how long what is too slow is measured again.
const patience = 3 * time.Second

// measure sends frames and counts, again where a busy machine may have delayed them.
func (w way) measure(ctx context.Context) (m MeasuredImpairment, err error) {
	m = MeasuredImpairment{Node: w.node, Port: w.port, Received: w.direction == receiving, Set: w.set}
	if w.pair.node != "" {
		m.From = w.pair.node + "/" + w.pair.port
	}
	if w.untold != "" {
		m.Untold = []string{w.untold}
		return m, nil
	}
	for begun := time.Now(); ; {
		t, err := w.send(ctx)
		if err != nil {
			return m, err
		}
		t.figure(&m, w)
		slow := m.slow
		if slow == nil || len(m.wrong) > 0 || time.Since(begun) > patience {
			return m, nil
		}
	}
}

// noteMeasured keeps figures for the bundle.
func (l *Lab) noteMeasured(w way, m MeasuredImpairment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.measured == nil {
		l.measured = map[wayKey]MeasuredImpairment{}
	}
	l.measured[w.key()] = m
}

type wayKey struct {
	spot
	direction
	from spot
}

func (w way) key() wayKey { return wayKey{w.spot, w.direction, w.pair} }

// impairments writes what is set, and what of it was measured, where anything is.
func (b *bundle) impairments() []entry {
	ways := b.lab.impairedWays()
	if len(ways) == 0 {
		return nil
	}
	return []entry{b.file("impairments.txt", "what was set to happen to packets, way by way, and what of it was measured", func(w io.Writer) error {
		b.lab.mu.Lock()
		defer b.lab.mu.Unlock()
		for _, way := range ways {
			line := fmt.Sprintf("%s %s: not measured (Lab.MeasureImpairments)", way.name(), way.set)
			if m, is := b.lab.measured[way.key()]; is && m.Set == way.set {
				line = m.String()
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
		return nil
	})}
}
