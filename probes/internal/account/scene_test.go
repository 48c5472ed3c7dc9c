package account

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The network of the tests: pc - lan - fw - wan - site, and about it what copies and
// detours need. An interface is named after its segment, and has its index by order.
//
//	lan     pc fw
//	wan     fw site c          (a switch)
//	mirror  fw ids
//	back    ids site           (another way to the target)
//	side    fw two             (another router)
//	far     two site
var wires = []struct {
	segment string
	nodes   string
}{{"lan", "pc fw"}, {"wan", "fw site c"}, {"mirror", "fw ids"}, {"back", "ids site"}, {"side", "fw two"}, {"far", "two site"}}

// Devices that a node has for itself, from index 20 on.
var devices = map[string]Link{
	"lo":    {Index: 1, Loopback: true},
	"br0":   {Index: 20, Bridge: true},
	"p0":    {Index: 21, Master: 20, Segment: "lan"},
	"p1":    {Index: 22, Master: 20, Segment: "wan"},
	"p2":    {Index: 23, Master: 20, Segment: "mirror"},
	"eth0":  {Index: 24, Segment: "lan"},
	"eth5":  {Index: 25, Lower: 24},
	"wg0":   {Index: 26, Tunnel: true},
	"vrf0":  {Index: 27},
	"v0":    {Index: 28, Master: 27, Segment: "lan"},
	"bond0": {Index: 29},
	"b0":    {Index: 30, Master: 29, Segment: "lan"},
	"br0.5": {Index: 31, Lower: 20},
}

const begin = 1_000_000

// scene is an input read from a timeline, a line a sighting or record, ten microseconds
// after the one before:
//
//	pc/lan out 64                       a tap's: node, interface, direction, time to live
//	fw #1 lan>wan pre fwd post 64>63    a rule's: node, trace id, interfaces, hooks
//
// and any of: answer, refusal, undone, foreign, id=7 (0 unless said), to=10.0.9.9,
// from=, len=, piece=0+1480 (a fragment; the last ends with a dot), gathered, +500 (microseconds more), drop=7 (0: the policy), took=queue, by=7, bridge, device.
func scene(t testing.TB, traced, timeline string) Input {
	t.Helper()
	in := Input{
		Asker: "pc", Target: "site", Way: []string{"pc", "fw", "site"}, Sent: 1,
		Nodes: map[string]Node{}, Links: map[string][]Link{},
	}
	for _, w := range wires {
		for _, node := range strings.Fields(w.nodes) {
			in.Links[node] = append(in.Links[node], Link{Index: 2 + len(in.Links[node]), Name: w.segment, Segment: w.segment})
			in.Nodes[node] = Node{Traced: slices.Contains(strings.Fields(traced), node)}
		}
	}
	now := time.UnixMicro(begin)
	for _, text := range strings.Split(timeline, "\n") {
		words := strings.Fields(text)
		if len(words) == 0 {
			continue
		}
		now = now.Add(10 * time.Microsecond)
		r := reader{t: t, in: &in, now: &now, node: strings.Split(words[0], "/")[0]}
		r.header = Header{Tuple: Tuple{addr("10.0.1.1:4000"), addr("10.0.9.1:53")}, Length: 60}
		if strings.Contains(words[0], "/") {
			r.sighting(words)
		} else {
			r.record(words)
		}
	}
	return in
}

type reader struct {
	t       testing.TB
	in      *Input
	now     *time.Time
	node    string
	role    Role
	header  Header
	foreign bool
	layer   Layer
	drop    *Rule
	took    string
	by      *Rule

	gathered bool
}

// index is an interface's, which the node is given where it is a device.
func (r *reader) index(name string) int {
	if name == "" {
		return 0
	}
	for _, l := range r.in.Links[r.node] {
		if l.Name == name {
			return l.Index
		}
	}
	l, ok := devices[name]
	if !ok {
		r.t.Fatalf("no interface %s", name)
	}
	l.Name = name
	r.in.Links[r.node] = append(r.in.Links[r.node], l)
	for other, o := range devices {
		if o.Index == l.Master {
			r.index(other)
		}
	}
	return l.Index
}

func (r *reader) option(word string) bool {
	key, value, _ := strings.Cut(word, "=")
	number, _ := strconv.Atoi(value)
	switch key {
	case "answer", "refusal", "undone":
		r.role = map[string]Role{"answer": Answer, "refusal": Refusal, "undone": Undone}[key]
		if key == "answer" {
			r.header.Source, r.header.Destination = r.header.Destination, r.header.Source
		}
	case "foreign":
		r.foreign = true
	case "id":
		r.header.Identity = uint64(number)
	case "len":
		r.header.Length = number
	case "piece":
		r.piece(value)
	case "gathered":
		r.gathered = true
	case "to":
		r.header.Destination = netip.AddrPortFrom(netip.MustParseAddr(value), r.header.Destination.Port())
	case "from":
		r.header.Source = netip.AddrPortFrom(netip.MustParseAddr(value), r.header.Source.Port())
	case "drop":
		r.drop = &Rule{Family: "inet", Table: "filter", Chain: "x", Handle: uint64(number)}
	case "took":
		r.took = value
	case "by":
		r.by = &Rule{Family: "inet", Table: "filter", Chain: "x", Handle: uint64(number)}
	case "bridge":
		r.layer = Bridge
	case "device":
		r.layer = Device
	default:
		if !strings.HasPrefix(word, "+") {
			return false
		}
		more, _ := strconv.Atoi(word[1:])
		*r.now = r.now.Add(time.Duration(more) * time.Microsecond)
	}
	return true
}

func (r *reader) piece(value string) {
	const head = 20
	offset, size, _ := strings.Cut(value, "+")
	piece := Piece{Head: head, More: !strings.HasSuffix(size, ".")}
	piece.Offset, _ = strconv.Atoi(offset)
	piece.Size, _ = strconv.Atoi(strings.TrimSuffix(size, "."))
	r.header.Piece, r.header.Length = piece, head+piece.Size
	if piece.Offset > 0 {
		r.header.Source, r.header.Destination = netip.AddrPortFrom(r.header.Source.Addr(), 0), netip.AddrPortFrom(r.header.Destination.Addr(), 0)
	}
}

func (r *reader) sighting(words []string) {
	s := Sighting{Node: r.node, Index: r.index(strings.Split(words[0], "/")[1]), Direction: In, Role: Request}
	if words[1] == "out" {
		s.Direction = Out
	}
	r.role = Request
	r.header.TTL, _ = strconv.Atoi(words[2])
	for _, word := range words[3:] {
		if !r.option(word) {
			r.t.Fatalf("what is %s?", word)
		}
	}
	s.At, s.Role, s.Header, s.Foreign = *r.now, r.role, r.header, r.foreign
	r.in.Sightings = append(r.in.Sightings, s)
}

var hookWords = map[string]Hook{
	"ing": IngressHook, "pre": PreroutingHook, "in": InputHook, "fwd": ForwardHook,
	"out": OutputHook, "post": PostroutingHook, "eg": EgressHook,
}

func (r *reader) record(words []string) {
	id, _ := strconv.Atoi(words[1][1:])
	in, out, _ := strings.Cut(words[2], ">")
	rec := Record{Node: r.node, ID: uint32(id), In: r.index(in), Out: r.index(out)}
	r.role = Request
	ttl := ""
	to := ""
	for _, word := range words[3:] {
		switch hook, ok := hookWords[word]; {
		case ok:
			rec.Hooks = append(rec.Hooks, hook)
		case word[0] >= '0' && word[0] <= '9':
			ttl = word
		case strings.HasPrefix(word, "nat="):
			to = word[4:]
		case !r.option(word):
			r.t.Fatalf("what is %s?", word)
		}
	}
	first, last, changed := strings.Cut(ttl, ">")
	if !changed {
		last = first
	}
	rec.Before = r.header
	rec.Before.TTL, _ = strconv.Atoi(first)
	rec.After = rec.Before
	rec.After.TTL, _ = strconv.Atoi(last)
	if to != "" {
		rec.After.Destination = netip.AddrPortFrom(netip.MustParseAddr(to), rec.After.Destination.Port())
	}
	rec.Gathered = r.gathered
	rec.Role, rec.Layer, rec.Drop, rec.Took, rec.By = r.role, r.layer, r.drop, r.took, r.by
	r.in.Records = append(r.in.Records, rec)
}

// tell is an account as the tests have it: a line a packet, and what it adds up to.
func tell(a Account) string {
	var text strings.Builder
	for _, p := range a.Packets {
		fmt.Fprintln(&text, p)
	}
	for role := Request; role <= Undone; role++ {
		p, ok := a.Primary(role)
		if !ok {
			continue
		}
		words := []string{fmt.Sprintf("%s primary %s@%s", role, strings.Fields(p.End.Kind.word())[0], p.End.Node)}
		if a.Arrived(role) {
			words = append(words, "delivered")
		}
		switch {
		case a.Over(role):
			words = append(words, "over")
		case a.Closed(role):
			words = append(words, "closed")
		default:
			words = append(words, "open: "+strings.Join(a.Open(role), "; "))
		}
		fmt.Fprintln(&text, strings.Join(words, ", "))
	}
	return text.String()
}

func (k Kind) word() string {
	return [...]string{"unknown", "dropped", "delivered", "waiting", "taken", "died", "onthelink", "strayed", "unsent"}[k]
}

// row is a timeline and the account of it.
type row struct {
	traced   string
	timeline string
	with     func(*Input)
	want     string
}

func try(t *testing.T, rows map[string]row) {
	t.Helper()
	for name, r := range rows {
		in := scene(t, r.traced, r.timeline)
		if r.with != nil {
			r.with(&in)
		}
		if got, want := tell(Of(in)), trim(r.want); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

func trim(text string) string {
	var lines []string
	for _, l := range strings.Split(text, "\n") {
		if l = strings.TrimSpace(l); l != "" {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

func addr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }
