package account

import (
	"slices"
	"strings"
	"testing"
)

const dupDropped = `
	pc/lan out 64
	fw/lan in 64
	fw #1 lan>wan pre fwd post 64>63
	fw #2 >mirror out post 63
	fw/mirror out 63
	ids/mirror in 63
	fw/wan out 63
	c/wan in 63 foreign
	site/wan in 63
	ids #1 mirror>back pre fwd 63>62 drop=0`

func TestCopiesAndNodesTouched(t *testing.T) {
	t.Parallel()
	a := Of(scene(t, "fw ids", dupDropped))
	var copies []string
	for _, p := range a.Copies() {
		copies = append(copies, p.End.Node+" "+p.End.Kind.word())
	}
	if want := []string{"c strayed", "ids dropped"}; !slices.Equal(copies, want) {
		t.Errorf("copies %q, want %q", copies, want)
	}
	if got, want := a.Touched(Request), strings.Fields("c fw ids pc site"); !slices.Equal(got, want) {
		t.Errorf("touched %q, want %q", got, want)
	}
	if got := a.Touched(Answer); len(got) > 0 {
		t.Errorf("an answer touched %q, and there was none", got)
	}
}

// Of several ends the one nearest the target is named.
func TestPrimaryEnd(t *testing.T) {
	t.Parallel()
	way := []string{"pc", "fw", "two", "site"}
	end := func(node string, kind Kind, hook Hook) Packet {
		return Packet{Role: Request, End: End{Node: node, Kind: kind, Hook: hook, Seen: kind == Dropped}}
	}
	copied := func(p Packet) Packet { p.Copy = true; return p }
	for name, c := range map[string]struct {
		packets []Packet
		want    int
	}{
		"the farthest of two drops":         {[]Packet{end("fw", Dropped, ForwardHook), end("two", Dropped, PreroutingHook)}, 1},
		"the later hook":                    {[]Packet{end("fw", Dropped, ForwardHook), end("fw", Dropped, PreroutingHook)}, 0},
		"waiting is later than any hook":    {[]Packet{end("fw", Dropped, PostroutingHook), end("fw", Waiting, PostroutingHook)}, 1},
		"a link is later than its node":     {[]Packet{end("fw", Waiting, PostroutingHook), end("fw", OnTheLink, 0)}, 1},
		"and before the next":               {[]Packet{end("fw", OnTheLink, 0), end("two", Died, 0)}, 1},
		"the original of two alike":         {[]Packet{copied(end("fw", Dropped, ForwardHook)), end("fw", Dropped, ForwardHook)}, 1},
		"the open one of two alike":         {[]Packet{end("fw", Dropped, PreroutingHook), end("fw", Died, PreroutingHook)}, 1},
		"what was delivered":                {[]Packet{end("two", Dropped, ForwardHook), copied(end("site", Delivered, 0))}, 1},
		"not what was delivered elsewhere":  {[]Packet{end("fw", Dropped, ForwardHook), copied(end("ids", Delivered, InputHook))}, 0},
		"a copy that came farther":          {[]Packet{end("fw", Dropped, ForwardHook), copied(end("two", Dropped, ForwardHook))}, 1},
		"not a copy beside the way":         {[]Packet{copied(end("ids", Dropped, ForwardHook)), end("fw", Died, 0)}, 1},
		"beside the way, the original":      {[]Packet{copied(end("ids", Dropped, ForwardHook)), end("c", Dropped, ForwardHook)}, 1},
		"a copy beside the way, when alone": {[]Packet{copied(end("ids", Dropped, ForwardHook))}, 0},
		"of copies beside it the open one":  {[]Packet{copied(end("ids", Dropped, ForwardHook)), copied(end("c", Died, 0))}, 1},
		"a stray never":                     {[]Packet{{Role: Request, Copy: true, Stray: true, End: End{Node: "two", Kind: Dropped, Seen: true}}, end("pc", Unsent, 0)}, 1},
	} {
		a := Account{Packets: c.packets, in: Input{Asker: "pc", Target: "site", Way: way}}
		got, ok := a.Primary(Request)
		if want := c.packets[c.want]; !ok || got.End != want.End || got.Copy != want.Copy {
			t.Errorf("%s: %+v, want %+v", name, got.End, want.End)
		}
	}
	answers := Account{Packets: []Packet{
		{Role: Answer, End: End{Node: "fw", Kind: Dropped, Seen: true}}, {Role: Answer, End: End{Node: "two", Kind: Died}},
	}, in: Input{Asker: "pc", Target: "site", Way: way}}
	if got, _ := answers.Primary(Answer); got.End.Node != "fw" {
		t.Errorf("of answers the end at %s is named, want the one nearest the asker", got.End.Node)
	}
	if _, ok := answers.Primary(Request); ok {
		t.Error("an end of no packet")
	}
}

func TestWhatIsNotKnownPanicsNowhere(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]Input{
		"nothing":                 {},
		"a node without links":    {Sightings: []Sighting{{Node: "x", Index: 4, Direction: In, Role: Request}, {Node: "x", Index: 4, Direction: Out, Role: Request}}},
		"a record without hooks":  {Records: []Record{{Node: "x", Role: Request}, {Node: "x", Role: Answer, Layer: Bridge}, {Node: "x", Role: Request, Layer: Device}}},
		"a record without a node": {Records: []Record{{Role: Request, In: 3, Out: 4, Hooks: []Hook{PostroutingHook}, Drop: &Rule{}}}},
		"a hook of no name":       {Records: []Record{{Node: "x", Role: Request, In: 1, Hooks: []Hook{99}}}},
	} {
		a := Of(in)
		for _, p := range a.Packets {
			if p.String() == "" {
				t.Errorf("%s: a packet without words", name)
			}
		}
		_ = tell(a)
	}
}

func TestRulesHaveWords(t *testing.T) {
	t.Parallel()
	var none *Rule
	for want, r := range map[string]*Rule{
		"a rule":                              none,
		"rule 7 of ip6 mangle x":              {Family: "ip6", Table: "mangle", Chain: "x", Handle: 7},
		"policy drop of inet filter input":    {Family: "inet", Table: "filter", Chain: "input"},
		`"no ssh" (tcp dport 22 drop) of fwd`: {Handle: 3, Text: `"no ssh" (tcp dport 22 drop) of fwd`},
	} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func BenchmarkAccountOfADrop(b *testing.B) {
	in := scene(b, "fw", "pc/lan out 64\nfw/lan in 64\nfw #1 lan>wan pre fwd 64 drop=7")
	b.ReportAllocs()
	for b.Loop() {
		if a := Of(in); !a.Over(Request) {
			b.Fatal("open")
		}
	}
}

func BenchmarkAccountOfALoop(b *testing.B) {
	in := scene(b, "fw", loop(255))
	b.ReportAllocs()
	for b.Loop() {
		Of(in)
	}
}
