package watch

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/wire"
)

type role = evidence.Role

const (
	request = evidence.Request
	answer  = evidence.Answer
	refusal = evidence.Refusal
	undone  = evidence.Undone
)

// Trail is what a watch sees of one probe.
type Trail struct {
	// Flow is the probe, with the nonce that its packets carry.
	Flow wire.Flow

	key     uint32   // of the nonce
	says    []string // what it sends by datagrams, where that is not a nonce; see Says
	slot    int      // of the sequence numbers
	turn    uint64   // what was done to the labs when it began: see steady
	isn     uint32
	places  []place
	changed chan struct{} // has room for one: something new was seen
	wake    func()        // of who waits for that

	timeline  evidence.Timeline
	sightings []account.Sighting
	segments  []segment // of a connection, at taps
	records   []*record
	begun     time.Time
	last      time.Time // when something new was seen, or the trail began
	lost      string
	storms    bool            // more was seen of it, or beside it, than can be followed: lost says so
	account   account.Account // see accountOf
	known     known
	awaits    verdict.End // where its packet was seen to wait for a neighbour; the watch's Confirm
	apart     bool        // to be tried again alone
	told      int         // how often rules told of its packets
	counted   bool
	goesOn    bool // some program answers by datagrams: it may say more
	sent      int  // requests that the asker's kernel took; 0 is unknown
	hopping   sync.Once
	hops      evidence.Hops // see Watch.Hops
	done      bool
	ports     int  // how many were heard as it began
	wide      bool // taps heard all then
}

// ISN is the sequence number that a TCP probe is to begin with, so that its packets
// are known.
func (t *Trail) ISN() uint32 { return t.isn }

// mostly is how often a probe is seen: at three nodes, there and back.
const mostly = 8

// Follow begins a trail, and gives it its nonce. It is to be called before the probe
// sends. Done ends it.
func (w *Watch) Follow(f wire.Flow) (*Trail, error) {
	trails, err := w.FollowAll(f)
	if err != nil {
		return nil, err
	}
	return trails[0], nil
}

// FollowAll begins many trails, for probes that are sent together.
func (w *Watch) FollowAll(flows ...wire.Flow) ([]*Trail, error) { return w.follow(nil, flows) }

// FollowOn begins a trail of a connection that was begun in an earlier one, of which Keep has
// kept the numbers.
func (w *Watch) FollowOn(on *Trail, f wire.Flow) (*Trail, error) {
	trails, err := w.follow(on, []wire.Flow{f})
	if err != nil {
		return nil, err
	}
	return trails[0], nil
}

// Keep keeps a connection's numbers for it when its trail is done, until Release.
func (w *Watch) Keep(t *Trail) { w.reserve(t, true) }

// Release gives a connection's numbers up.
func (w *Watch) Release(t *Trail) { w.reserve(t, false) }

func (w *Watch) reserve(t *Trail, is bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.book.kept[t.slot] = is
}

func (w *Watch) follow(on *Trail, flows []wire.Flow) ([]*Trail, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return nil, err
	}
	trails := make([]*Trail, len(flows))
	now := time.Now()
	for i, f := range flows {
		if err := errors.Join(w.hearPort(f), w.hearParted(f), w.hearRare(f)); err != nil {
			return nil, err
		}
		t := &Trail{
			Flow: f, changed: make(chan struct{}, 1), begun: now, last: now, ports: len(w.ports), wide: w.wide,
			timeline: make(evidence.Timeline, 0, mostly), sightings: make([]account.Sighting, 0, mostly),
		}
		t.turn = w.turn()
		w.book.add(t, w.mark, on)
		if w.storms != "" {
			t.storm(w.storms)
		}
		trails[i] = t
	}
	w.active += len(trails)
	return trails, nil
}

// Says tells what a probe by datagrams is to send from a port, where that carries no nonce: its
// packets are known by that then. It is to be called before the probe sends.
func (w *Watch) Says(t *Trail, port uint16, datagrams []string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.says, t.Flow.SourcePort = datagrams, port
	w.book.says[t] = true
	if err := w.hearAll(); err != nil { // translation may change both ports
		return err
	}
	err := w.hearPort(wire.Flow{Protocol: t.Flow.Protocol, Port: port})
	t.ports, t.wide = len(w.ports), true
	return err
}

// Done ends trails: what comes later is not theirs.
func (w *Watch) Done(trails ...*Trail) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range trails {
		if t.done {
			continue
		}
		t.done = true
		w.active--
		w.book.remove(t)
		if w.trying {
			w.gone = append(w.gone, t)
		}
	}
	if w.active == 0 {
		for _, p := range w.points {
			clear(p.traced)
			p.pieces = nil
		}
	}
}

// Lost says whether something of the trail was lost for want of space, which fewer probes
// at once would have had.
func (w *Watch) Lost(t *Trail) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return t.lost != "" && !t.storms
}

// see adds a sighting.
func (t *Trail) see(s evidence.Sighting) {
	t.timeline, t.last = append(t.timeline, s), time.Now()
	t.tell()
}

// Timeline is what was seen of the trail so far, in order.
func (w *Watch) Timeline(t *Trail) evidence.Timeline {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain()
	return order(slices.Clone(t.timeline))
}
