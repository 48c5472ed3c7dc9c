package truth_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// shrinking is how long it may take.
const shrinking = time.Minute

// shrink takes away what it can while the same demand is not met, and returns what
// is left with what is said then. A complaint that does not come again is told as it
// was.
func (w *world) shrink(ctx context.Context, r *round, d demand, why string) (*world, string) {
	ctx, cancel := context.WithTimeout(ctx, shrinking)
	defer cancel()
	small := *w
	small.asks = []ask{r.ask}
	complains := func(c *world) string {
		rounds, err := c.examine(ctx)
		if err != nil {
			return ""
		}
		for _, r := range rounds {
			if why := d.check(r); why != "" && !d.moot(r) {
				return why
			}
		}
		return ""
	}
	if complains(&small) == "" {
		if small = *w; complains(&small) == "" {
			return w, why + "\n(it did not come again)"
		}
	}
	for ctx.Err() == nil {
		less, now := firstThat(small.lesser(), complains)
		if less == nil {
			break
		}
		small, why = *less, now
	}
	return &small, why
}

// firstThat is the first world that is complained about, of some that are tried at
// once.
func firstThat(all []*world, complains func(*world) string) (*world, string) {
	const together = 6
	for chunk := range slices.Chunk(all, together) {
		why := make([]string, len(chunk))
		var trying sync.WaitGroup
		for i, c := range chunk {
			trying.Go(func() { why[i] = complains(c) })
		}
		trying.Wait()
		if i := slices.IndexFunc(why, func(text string) bool { return text != "" }); i >= 0 {
			return chunk[i], why[i]
		}
	}
	return nil, ""
}

// lesser are worlds with a little less, the greatest pieces first.
func (w *world) lesser() (all []*world) {
	add := func(change func(*world)) {
		c := *w
		change(&c)
		all = append(all, &c)
	}
	for i := range w.asks {
		if len(w.asks) > 1 {
			add(func(c *world) { c.asks = remove(c.asks, i) })
		}
	}
	for i := range w.parts {
		add(func(c *world) { c.parts = remove(c.parts, i) })
	}
	for i, n := range w.nodes {
		if !w.needs(n.name) {
			add(func(c *world) { c.dropNode(i) })
		}
	}
	for i, s := range w.segments {
		if s.made != "" {
			add(func(c *world) {
				c.segments = slices.Clone(c.segments)
				c.segments[i].made = ""
			})
		}
	}
	for i := range w.services {
		add(func(c *world) { c.services = remove(c.services, i) })
	}
	if w.v4 && w.v6 {
		add(func(c *world) { c.dropFamily(false) })
		add(func(c *world) { c.dropFamily(true) })
	}
	for i, p := range w.parts {
		for _, text := range shorter(p.text) {
			add(func(c *world) {
				c.parts = slices.Clone(c.parts)
				c.parts[i].text = text
			})
		}
	}
	return all
}

func remove[T any](from []T, i int) []T { return slices.Delete(slices.Clone(from), i, i+1) }

// needs says whether a node is asked, asks, or has something.
func (w *world) needs(name string) bool {
	return slices.ContainsFunc(w.asks, func(a ask) bool { return a.from == name || a.to == name }) ||
		slices.ContainsFunc(w.parts, func(p part) bool { return p.node == name })
}

// dropNode takes away a node, and segments that are of no use without it.
func (w *world) dropNode(i int) {
	name := w.nodes[i].name
	w.nodes = remove(w.nodes, i)
	w.services = slices.DeleteFunc(slices.Clone(w.services), func(s service) bool { return s.node == name })
	w.segments = slices.Clone(w.segments)
	for i := len(w.segments) - 1; i >= 0; i-- {
		on := 0
		for _, n := range w.nodes {
			for _, p := range n.ports {
				if p.segment == w.segments[i].name {
					on++
				}
			}
		}
		if w.segments[i].wire = w.segments[i].wire && on == 2; on == 0 {
			w.segments = slices.Delete(w.segments, i, i+1)
		}
	}
}

// dropFamily takes away the addresses of a family; parts that need them cannot be
// built then, and it is not taken away.
func (w *world) dropFamily(v6 bool) {
	of := func(text string) bool { return strings.Contains(text, ":") == v6 }
	w.v4, w.v6 = v6, !v6
	w.segments, w.nodes = slices.Clone(w.segments), slices.Clone(w.nodes)
	for i, s := range w.segments {
		w.segments[i].prefixes = slices.DeleteFunc(slices.Clone(s.prefixes), of)
	}
	for i, n := range w.nodes {
		ports := slices.Clone(n.ports)
		for j, p := range ports {
			ports[j].at = slices.DeleteFunc(slices.Clone(p.at), of)
			ports[j].also = slices.DeleteFunc(slices.Clone(p.also), of)
		}
		w.nodes[i].ports = ports
	}
}

// shorter are texts without one of the lines, or one of the blocks.
func shorter(text string) (all []string) {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		end := i
		switch line = strings.TrimSpace(line); {
		case line == "" || line == "}" || strings.HasPrefix(line, "type ") || strings.HasPrefix(line, "*") || line == "COMMIT" || i == 0:
			continue
		case strings.HasSuffix(line, "{"):
			for end = i + 1; end < len(lines) && strings.TrimSpace(lines[end]) != "}"; end++ {
			}
		}
		if end < len(lines) {
			all = append(all, strings.Join(slices.Delete(slices.Clone(lines), i, end+1), "\n"))
		}
	}
	return all
}
