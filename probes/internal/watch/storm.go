package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/probes/internal/account"
	"golang.org/x/sys/unix"
)

// Packets that go round for ever, as what netdev forwards in a circle, which loses nothing
// of its TTL, tell more than anybody can read. So a trail keeps so many sightings, and so
// many more for each node: a switch may show a packet to all; and so many words of rules. A packet
// that loses its TTL on the way round is seen some 500 times.
const (
	mostSeen     = 2048
	mostSeenNode = 32
	mostTold     = 1 << 16
)

// keptInStorm is what is kept of each kind of evidence of a probe whose packets go round.
const keptInStorm = 64

// A drain reads from a socket so many times in a row, and in turn with the others so many
// times, for each as many sockets as are ready at once: that is three times what fits into a
// buffer of 16 MiB, and more only comes of what does not end.
const (
	perTurn   = 1 << 6
	mostTurns = 1 << 10
)

// overflows says whether more was seen of the trail than is kept.
func (t *Trail) overflows(nodes int) bool {
	return len(t.sightings) >= mostSeen+nodes*mostSeenNode || t.told >= mostTold
}

// storm notes that more comes than can be read, of every probe that is out, and of those that
// begin before it is over: see calm. The caller holds w.mu.
func (w *Watch) storm(why string) {
	if w.storms == "" {
		w.storms = why
	}
	for t := range w.book.trails {
		t.storm(w.storms)
	}
}

// storm keeps the beginning of what was seen, in slices of its own: others may still read
// what there was.
func (t *Trail) storm(why string) {
	if t.storms {
		return
	}
	t.storms, t.lost = true, why
	t.timeline, t.sightings, t.segments, t.records = first(t.timeline), first(t.sightings), first(t.segments), first(t.records)
	t.tell()
}

func first[S ~[]E, E any](all S) S { return slices.Clone(all[:min(len(all), keptInStorm)]) }

// round says where a trail's packets go round: at the nodes that saw most of them.
func (w *Watch) round(t *Trail) string {
	seen := map[string]int{}
	for _, s := range t.sightings {
		seen[s.Node]++
	}
	for _, r := range t.records {
		seen[r.Node]++
	}
	most := 0
	for _, n := range seen {
		most = max(most, n)
	}
	var nodes []string
	for node, n := range seen {
		if n >= most/4 {
			nodes = append(nodes, node)
		}
	}
	where := "at " + list(nodes)
	if len(nodes) > 1 {
		where = "between " + list(nodes)
	}
	return fmt.Sprintf("packets go round %s: more of one probe were seen than can be followed; "+
		"look there for what sends them back (fwd or dup of a rule, a bridge in a circle, a program)", where)
}

// list is names in order: a, b and c.
func list(names []string) string {
	slices.Sort(names)
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// crowded says at which nodes more came than was read.
func crowded(at map[*point]bool) string {
	var nodes []string
	for p := range at {
		nodes = append(nodes, p.label)
	}
	return fmt.Sprintf("more packets come at %s than can be read: they may go round, or somebody sends very many", list(nodes))
}

// A storm is over when the taps have heard next to nothing for a while: calmFor, in
// milliseconds, and calmBelow packets at each.
const (
	calmFor   = 2
	calmBelow = 16
	// No two looks are nearer than that.
	betweenCalms = 20 * time.Millisecond
)

// calm looks whether a storm is over. What is left of it is thrown away then. The caller
// holds w.mu.
func (w *Watch) calm() {
	if w.storms == "" || w.down || time.Since(w.looked) < betweenCalms {
		return
	}
	defer func() { w.looked = time.Now() }()
	for _, p := range w.points {
		_ = heardBy(p.tap)
	}
	_, _ = unix.Poll(nil, calmFor)
	for _, p := range w.points {
		if heardBy(p.tap) >= calmBelow {
			return
		}
	}
	for _, p := range w.points {
		w.throwAway(p)
	}
	w.storms = ""
}

// throwAway empties a node's sockets, but those that tell of changes.
func (w *Watch) throwAway(p *point) {
	for range mostTurns {
		if readTap(p.tap, w.slots, func(*frame) {}) == 0 {
			break
		}
	}
	for _, t := range p.tracers {
		for range mostTurns {
			if n, _ := t.read(func(*traceEvent) {}); n == 0 {
				break
			}
		}
	}
	for range mostTurns {
		if p.legacy == nil || !silence(p.legacy.events.fd, w.scratch) {
			break
		}
	}
	_ = overflowed(p.tap)
	p.read = false
	clear(p.traced)
}

// heardBy is how many packets a tap has heard since the last call, with those that did not
// fit into its buffer.
func heardBy(fd int) int {
	stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return int(stats.Packets)
}

// sees adds what a tap saw.
func (w *Watch) sees(t *Trail, s account.Sighting) {
	t.sightings = append(t.sightings, s)
	w.bound(t)
}

// bound ends the following of a trail of which too much was seen.
func (w *Watch) bound(t *Trail) {
	if t.overflows(len(w.points)) {
		w.storm(w.round(t))
	}
}
