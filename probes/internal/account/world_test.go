package account

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// world makes up what becomes of requests in the network of the tests, and writes down
// both what taps and rules see of it and how each packet really ends.
type world struct {
	*rand.Rand
	in   Input
	now  time.Duration
	skew map[string]time.Duration // of a node's clock
	ids  uint32
	ends []string
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 9)), skew: map[string]time.Duration{}}
	traced := ""
	for _, node := range []string{"fw", "ids", "site", "c"} {
		w.skew[node] = time.Duration(w.IntN(50)) * time.Microsecond
		if w.IntN(3) > 0 {
			traced += node + " "
		}
	}
	w.in = scene(t, traced, "")
	requests := 1 + w.IntN(3)
	named := w.IntN(2) == 0
	for i := range requests {
		h := Header{Tuple: Tuple{addr("10.0.1.1:4000"), addr("10.0.9.1:53")}, TTL: 64, Length: 60}
		if named {
			h.Identity = uint64(7 + i)
		}
		w.now += time.Duration(w.IntN(2)) * time.Second
		if w.IntN(8) == 0 {
			w.end("unsent", "pc")
			continue
		}
		w.wire("pc", "lan", "fw", "lan", h, w.fw)
	}
	w.in.Sent = requests
	slices.Sort(w.ends)
	return w
}

func (w *world) end(kind, node string) { w.ends = append(w.ends, kind+"@"+node) }

func (w *world) see(node, link string, d Direction, h Header, foreign bool) {
	w.now += time.Microsecond * time.Duration(1+w.IntN(10))
	w.in.Sightings = append(w.in.Sightings, Sighting{
		At: time.UnixMicro(begin).Add(w.now + w.skew[node]), Node: node, Index: w.index(node, link), Direction: d, Role: Request, Header: h, Foreign: foreign,
	})
}

func (w *world) index(node, link string) int {
	for _, l := range w.in.Links[node] {
		if l.Name == link {
			return l.Index
		}
	}
	return 0
}

// wire takes a packet over a link, or loses it; a switch may flood it.
func (w *world) wire(from, out, to, in string, h Header, next func(Header)) {
	w.see(from, out, Out, h, false)
	if out == "wan" && to != "c" && w.IntN(4) == 0 {
		w.see("c", "wan", In, h, true)
	}
	if w.IntN(8) == 0 {
		w.end("onthelink", from)
		return
	}
	w.see(to, in, In, h, false)
	next(h)
}

func (w *world) record(node, in, out string, before, after Header, hooks ...Hook) *Record {
	w.ids++
	w.in.Records = append(w.in.Records, Record{
		Node: node, ID: w.ids, Role: Request, In: w.index(node, in), Out: w.index(node, out), Before: before, After: after, Hooks: hooks,
	})
	return &w.in.Records[len(w.in.Records)-1]
}

var dropping = Rule{Family: "inet", Table: "filter", Chain: "x", Handle: 3}

// fw routes what it gets, and copies it where it has rules.
func (w *world) fw(h Header) {
	after := h
	after.TTL--
	toSite := func() { w.wire("fw", "wan", "site", "wan", after, w.site("wan")) }
	if !w.in.Nodes["fw"].Traced {
		if w.IntN(3) == 0 {
			w.end("died", "fw")
			return
		}
		toSite()
		return
	}
	type then func()
	var later []then
	fate := func(hooks ...Hook) (r func(in, out string) *Record, passes bool) {
		drops := w.IntN(3) == 0
		if !drops {
			hooks = append(hooks, PostroutingHook)
		}
		return func(in, out string) *Record {
			before := after
			if in != "" {
				before = h
			}
			r := w.record("fw", in, out, before, after, hooks...)
			if drops {
				r.Drop = &dropping
				w.end("dropped", "fw")
			}
			return r
		}, !drops
	}
	waits := func(passes bool, on then) {
		switch {
		case !passes:
		case w.IntN(4) == 0:
			w.end("waiting", "fw")
		default:
			later = append(later, on)
		}
	}
	if w.IntN(6) == 0 {
		w.record("fw", "lan", "", h, h, PreroutingHook)
		w.end("died", "fw")
	} else {
		tell, passes := fate(PreroutingHook, ForwardHook)
		tell("lan", "wan")
		waits(passes, toSite)
	}
	for range w.IntN(3) {
		tell, passes := fate(OutputHook)
		if w.IntN(2) == 0 {
			tell("", "wan")
			waits(passes, func() { w.wire("fw", "wan", "c", "wan", after, w.beside) })
			continue
		}
		tell("", "mirror")
		waits(passes, func() { w.wire("fw", "mirror", "ids", "mirror", after, w.watcher) })
	}
	w.Shuffle(len(later), func(i, j int) { later[i], later[j] = later[j], later[i] })
	for _, on := range later {
		on()
	}
}

// beside is the node c, which hands nothing on.
func (w *world) beside(h Header) {
	switch traced := w.in.Nodes["c"].Traced; {
	case traced && w.IntN(2) == 0:
		w.record("c", "wan", "", h, h, PreroutingHook).Drop = &dropping
		w.end("dropped", "c")
	default:
		w.end("died", "c")
		if traced {
			w.record("c", "wan", "", h, h, PreroutingHook)
		}
	}
}

// watcher is the node ids: it keeps copies, drops them, or sends them to the target.
func (w *world) watcher(h Header) {
	after := h
	after.TTL--
	on := func() { w.wire("ids", "back", "site", "back", after, w.site("back")) }
	traced := w.in.Nodes["ids"].Traced
	switch fate := w.IntN(3); {
	case fate == 0 && traced:
		w.record("ids", "mirror", "", h, h, PreroutingHook).Drop = &dropping
		w.end("dropped", "ids")
	case fate == 0:
		w.end("died", "ids")
	case fate == 1 && traced:
		w.record("ids", "mirror", "", h, h, PreroutingHook, InputHook)
		w.end("delivered", "ids")
	case fate == 1:
		w.end("died", "ids")
	case traced:
		w.record("ids", "mirror", "back", h, after, PreroutingHook, ForwardHook, PostroutingHook)
		on()
	default:
		on()
	}
}

func (w *world) site(link string) func(Header) {
	return func(h Header) {
		fate := w.IntN(3)
		switch {
		case !w.in.Nodes["site"].Traced:
			w.end("delivered", "site")
		case fate == 0:
			w.record("site", link, "", h, h, PreroutingHook).Drop = &dropping
			w.end("dropped", "site")
		case fate == 1:
			w.record("site", link, "", h, h, PreroutingHook)
			w.end("died", "site")
		default:
			w.record("site", link, "", h, h, PreroutingHook, InputHook)
			w.end("delivered", "site")
		}
	}
}
