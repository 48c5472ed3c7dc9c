package account

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func (a Account) ends() (ends []string) {
	for _, p := range a.of(Request) {
		ends = append(ends, p.End.Kind.word()+"@"+p.End.Node)
	}
	slices.Sort(ends)
	return ends
}

const worlds = 1000

func eachWorld(t *testing.T, do func(seed uint64, w *world, a Account)) {
	t.Helper()
	for seed := range uint64(worlds) {
		w := newWorld(t, seed)
		do(seed, w, Of(w.in))
		if t.Failed() {
			t.Logf("seed %d: %v\n%s", seed, w.ends, describe(w.in))
			return
		}
	}
}

func describe(in Input) (text string) {
	for _, s := range in.Sightings {
		text += fmt.Sprintf("%s %s/%d %d %d id=%d foreign=%v\n", s.At.Format("05.000000"), s.Node, s.Index, s.Direction, s.TTL, s.Identity, s.Foreign)
	}
	for _, r := range in.Records {
		text += fmt.Sprintf("%s #%d %d>%d %v drop=%v\n", r.Node, r.ID, r.In, r.Out, r.Hooks, r.Drop != nil)
	}
	return text
}

// Every packet is followed to the end that it had.
func TestEveryPacketHasItsEnd(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(seed uint64, w *world, a Account) {
		if got := a.ends(); !slices.Equal(got, w.ends) {
			t.Errorf("ends %v, want %v\n%s", got, w.ends, tell(a))
		}
		closed := !slices.ContainsFunc(w.ends, func(e string) bool {
			return e != "dropped@fw" && e != "dropped@ids" && e != "dropped@c" && e != "dropped@site" && e != "delivered@ids" && (e != "delivered@site" || !w.in.Nodes["site"].Traced)
		})
		if a.Closed(Request) != closed {
			t.Errorf("closed: %v, want %v: %v", !closed, closed, a.Open(Request))
		}
		if over := closed && !slices.Contains(w.ends, "delivered@ids"); a.Over(Request) != over {
			t.Errorf("over: %v, want %v", !over, over)
		}
		if delivered := slices.Contains(w.ends, "delivered@site"); a.Delivered() != delivered {
			t.Errorf("delivered: %v, want %v", !delivered, delivered)
		}
		if (len(a.Open(Request)) == 0) != a.Closed(Request) {
			t.Errorf("closed: %v, and open: %v", a.Closed(Request), a.Open(Request))
		}
		if p, _ := a.Primary(Request); a.Delivered() && p.End.Kind != Delivered {
			t.Errorf("delivered, and the end to be named is %v", p)
		}
	})
}

// Each sighting is told of once.
func TestEverySightingIsInOneWay(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(seed uint64, w *world, a Account) {
		places := 0
		for _, p := range a.Packets {
			for _, place := range p.Way {
				if place.Direction != 0 {
					places++
				}
			}
		}
		if places != len(w.in.Sightings) {
			t.Errorf("%d places of %d sightings\n%s", places, len(w.in.Sightings), tell(a))
		}
	})
}

// What different nodes tell may be told in any order.
func TestOrderBetweenNodesIsNothing(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(seed uint64, w *world, a Account) {
		want := tell(a)
		in := w.in
		in.Sightings = interleave(w.Rand, in.Sightings, func(s Sighting) string { return s.Node })
		in.Records = interleave(w.Rand, in.Records, func(r Record) string { return r.Node })
		if got := tell(Of(in)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	})
}

// interleave keeps the order of each node's, and no other.
func interleave[T any](r *rand.Rand, all []T, node func(T) string) (mixed []T) {
	of := map[string][]T{}
	var nodes []string
	for _, t := range all {
		of[node(t)] = append(of[node(t)], t)
		nodes = append(nodes, node(t))
	}
	slices.Sort(nodes)
	r.Shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, n := range nodes {
		mixed, of[n] = append(mixed, of[n][0]), of[n][1:]
	}
	return mixed
}

// A closed account without one of its drops is open.
func TestNoDropIsMissedUnnoticed(t *testing.T) {
	t.Parallel()
	closed := 0
	eachWorld(t, func(seed uint64, w *world, a Account) {
		if !a.Closed(Request) {
			return
		}
		closed++
		for i, r := range w.in.Records {
			if r.Drop == nil {
				continue
			}
			in := w.in
			in.Records = slices.Clone(in.Records)
			in.Records[i].Drop = nil
			if Of(in).Closed(Request) {
				t.Errorf("closed without the drop of %s #%d\n%s", r.Node, r.ID, tell(Of(in)))
			}
			in.Records = slices.Delete(in.Records, i, i+1)
			if r.In != 0 && Of(in).Closed(Request) {
				t.Errorf("closed without the record of %s #%d\n%s", r.Node, r.ID, tell(Of(in)))
			}
		}
	})
	if closed < worlds/20 {
		t.Errorf("only %d of %d accounts are closed", closed, worlds)
	}
}

// What comes in at the target once more, and is not dropped, is delivered; an account
// with it is not closed.
func TestNothingComesToTheTargetUnnoticed(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(seed uint64, w *world, a Account) {
		if a.Delivered() || len(w.in.Sightings) == 0 {
			return
		}
		in := w.in
		s := in.Sightings[w.IntN(len(in.Sightings))]
		s.At, s.Node, s.Direction, s.Foreign, s.Index = s.At.Add(time.Duration(w.IntN(3000))*time.Microsecond), "site", In, false, 2+w.IntN(3)
		s.TTL -= w.IntN(3)
		if w.IntN(2) == 0 {
			s.Identity = 0
		}
		in.Sightings = append(slices.Clone(in.Sightings), s)
		slices.SortStableFunc(in.Sightings, func(s, t Sighting) int { return s.At.Compare(t.At) })
		if got := Of(in); !got.Delivered() || got.Closed(Request) {
			t.Errorf("delivered %v, closed %v, with %+v\n%s", got.Delivered(), got.Closed(Request), s, tell(got))
		}
	})
}
