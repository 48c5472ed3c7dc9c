package truth_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// world is a random network with what is in it, the same of the same seed. It is
// made of values that can be taken away one by one: see shrink.
type world struct {
	seed     uint64
	v4, v6   bool
	segments []segment
	nodes    []node
	parts    []part
	services []service
	asks     []ask
}

type segment struct {
	name     string
	wire     bool
	prefixes []string
	made     string // of which fabric; "" of none
}

// node has chosen addresses, which stay when another node is taken away.
type node struct {
	name   string
	router bool
	ports  []port
}

type port struct {
	segment string
	at      []string // none: a port without an address
	also    []string // with their prefix lengths
	twice   bool     // others have its addresses as well
}

// part is one thing that is put into a network: rules, a route, a program, a mistake.
type part struct {
	feature string // the row that it comes from
	node    string
	source  string // what it is in Go; %s is its text
	text    string // of rules: lines that can be taken away
	// Either of the two, or both.
	declare func(n *topo.Node, text string)
	do      func(s *scope, lab *harness.Lab, text string) error
	// A mistake is no policy: it never isolates.
	mistake bool
	// What remembers may treat the next packet in another way.
	remembers bool
	// What is blind moves packets where no kernel's state tells of it.
	blind bool
	// slow is how much later an answer may come than at once.
	slow time.Duration
	// owns is an address that its node takes for its own, whatever its lists say, and
	// device one that a program may choose there. users says that it tells users apart,
	// odd that it tells apart what any program may choose.
	owns, device string
	users, odd   bool
	// speaks is a protocol that rules let through, neither ICMP, TCP nor UDP.
	speaks int
}

// service is a port that a node answers at.
type service struct {
	node, network string // tcp or udp
	port          uint16
	on            string        // an address; "" is every one
	signed        bool          // in the lab under test by probes.Serve
	slow          time.Duration // how long it thinks
	feature       string
}

func (w *world) node(name string) *node {
	for i := range w.nodes {
		if w.nodes[i].name == name {
			return &w.nodes[i]
		}
	}
	return nil
}

func (w *world) remembers() bool {
	has := func(feature string) bool {
		return slices.ContainsFunc(w.parts, func(p part) bool { return p.feature == feature })
	}
	// A port that is bridged gets what is the bridge's as another host's, advertisements too.
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.remembers }) || has("flood to a third that drops") && has("bridge in a node")
}

// stopsDiscovery says whether rules end what finds neighbours: a kernel asks for them once
// a second, and who asks in between sees nothing of it.
func (w *world) stopsDiscovery() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.remembers && (hosts.has(p.feature) || bridges.has(p.feature)) })
}

func (w *world) blind() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.blind })
}

// users says whether rules tell users apart.
func (w *world) users() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.users || strings.Contains(p.text, "skuid") })
}

// odd says whether rules tell apart what any program may choose: its source port, how
// much it says, TTL, TOS.
func (w *world) odd() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool {
		return p.odd || slices.ContainsFunc([]string{"length", "ttl", "hoplimit", "dscp", "udp sport"}, func(word string) bool { return strings.Contains(p.text, word) })
	})
}

// ruled says whether nothing but rules stands in its ways: without them all arrives.
func (w *world) ruled() bool {
	return !slices.ContainsFunc(w.parts, func(p part) bool {
		return p.text == "" && p.feature != "bridge in a node" && p.feature != "slow link" ||
			p.text != "" && !slices.ContainsFunc([]family{filters, matches, chains, rejects, hosts, oneWays, bridges, tables}, func(f family) bool { return f.has(p.feature) })
	})
}

var sport = regexp.MustCompile(`(tcp|udp) sport (\d+)`)

// sports are the source ports of a protocol that rules name.
func (w *world) sports(protocol string) (ports []uint16) {
	for _, p := range w.parts {
		for _, m := range sport.FindAllStringSubmatch(p.text, -1) {
			if n, err := strconv.ParseUint(m[2], 10, 16); err == nil && m[1] == protocol && !slices.Contains(ports, uint16(n)) {
				ports = append(ports, uint16(n))
			}
		}
	}
	return ports
}

// rejects says whether a node's own rules say no.
func (w *world) rejects(name string) bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.node == name && strings.Contains(strings.ToLower(p.text), "reject") })
}

func (w *world) mistaken() bool {
	return slices.ContainsFunc(w.parts, func(p part) bool { return p.mistake })
}

// slow is how much later than at once something may still happen.
func (w *world) slow() (d time.Duration) {
	for _, p := range w.parts {
		d += p.slow
	}
	for _, s := range w.services {
		d = max(d, d+s.slow)
	}
	return d
}

// features are the rows that it is made of.
func (w *world) features() (names []string) {
	for _, p := range w.parts {
		names = append(names, p.feature)
	}
	for _, s := range w.services {
		if s.feature != "" {
			names = append(names, s.feature)
		}
	}
	_, fabrics := w.fabrics()
	names = append(names, fabrics...)
	slices.Sort(names)
	return slices.Compact(names)
}

// declared is the network.
func (w *world) declared() *topo.Network {
	network := topo.New(fmt.Sprintf("truth-%d", w.seed))
	segments := map[string]*woven{}
	for i, s := range w.segments {
		segments[s.name] = s.wove(network, i+1)
	}
	for _, n := range w.nodes {
		var at []topo.Attachment
		for _, p := range n.ports {
			at = append(at, segments[p.segment].attach(p)...)
		}
		declare := network.Host
		if n.router {
			declare = network.Router
		}
		made := declare(n.name, at...)
		for _, p := range w.parts {
			if p.node == n.name && p.declare != nil {
				p.declare(made, p.text)
			}
		}
	}
	return network
}

// up builds the network, and does what cannot be declared.
func (w *world) up(s *scope) *harness.Lab {
	features, _ := w.fabrics()
	harness.Require(s, features...)
	lab := harness.Up(s, w.declared())
	for _, p := range w.parts {
		if p.do == nil {
			continue
		}
		if err := p.do(s, lab, p.text); err != nil {
			s.Fatalf("%s at %s: %v", p.feature, p.node, err)
		}
	}
	return lab
}

// without is the world without some of its parts.
func (w *world) without(drop func(part) bool) *world {
	less := *w
	less.parts = slices.DeleteFunc(slices.Clone(w.parts), drop)
	return &less
}

// String is the world as Go: what a test of its own would declare.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "network := topo.New(%q)\n", fmt.Sprintf("truth-%d", w.seed))
	for _, s := range w.segments {
		what := "Switch"
		if s.wire {
			what = "Wire"
		}
		fmt.Fprintf(&b, "%s := network.%s(%q", s.name, what, s.name)
		for _, p := range s.prefixes {
			fmt.Fprintf(&b, ", %q", p)
		}
		b.WriteString(")")
		if s.made != "" {
			fmt.Fprintf(&b, " // in its place: %s, as fabrics declare it", s.made)
		}
		b.WriteString("\n")
	}
	for _, n := range w.nodes {
		what := "Host"
		if n.router {
			what = "Router"
		}
		fmt.Fprintf(&b, "%s := network.%s(%q", n.name, what, n.name)
		for _, p := range n.ports {
			b.WriteString(", " + p.source())
		}
		b.WriteString(")\n")
		w.writeParts(&b, func(p part) bool { return p.node == n.name && p.declare != nil })
	}
	b.WriteString("lab := harness.Up(t, network)\n")
	w.writeParts(&b, func(p part) bool { return p.declare == nil })
	for _, s := range w.services {
		b.WriteString(s.source() + "\n")
	}
	for _, a := range w.asks {
		fmt.Fprintf(&b, "// asked: %s\n", a)
	}
	return b.String()
}

func (w *world) writeParts(b *strings.Builder, which func(part) bool) {
	for _, p := range w.parts {
		if !which(p) {
			continue
		}
		line := p.source
		if strings.Contains(line, "%s") {
			line = fmt.Sprintf(line, p.text)
		}
		if p.feature != "" {
			line += " // " + p.feature
		}
		b.WriteString(line + "\n")
	}
}

func (p port) source() string {
	text := p.segment
	switch {
	case len(p.at) == 0:
		text += ".NoAddress()"
	default:
		text += fmt.Sprintf(".NoAddress().At(%q)", p.at)
	}
	if len(p.also) > 0 {
		text += fmt.Sprintf(".Also(%q)", p.also)
	}
	if p.twice {
		text += ".Duplicate()"
	}
	return strings.NewReplacer("([", "(", "])", ")", `" "`, `", "`).Replace(text)
}

func (s service) source() string {
	if s.signed {
		return fmt.Sprintf("probes.Serve(t, lab.Node(%q), probes.%s(%d))", s.node, strings.ToUpper(s.network), s.port)
	}
	text := fmt.Sprintf("// %s: a plain %s service at %q, port %d", s.node, s.network, s.on, s.port)
	if s.slow > 0 {
		text += fmt.Sprintf(", which thinks for %v", s.slow)
	}
	return text
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
