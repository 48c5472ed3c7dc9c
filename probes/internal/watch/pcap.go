package watch

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/nstest/nstest/probes/internal/verdict"
)

// captureBound is how much a Capture keeps, in bytes; frameCost is what a frame
// takes besides its own.
const (
	captureBound = 16 << 20
	frameCost    = 128
)

// Capture is frames as the taps of watches heard them. It keeps 16 MiB, and then
// forgets the oldest. The zero Capture is empty, and all of it may be used from
// several goroutines.
type Capture struct {
	mu        sync.Mutex
	where     []verdict.End // the interfaces, whether or not anything was heard there
	frames    []heardFrame
	size      int
	forgotten int
}

type heardFrame struct {
	where verdict.End
	frame
}

// Capture is what the watch has heard so far: the packets of flows, and the
// questions and answers about neighbours. Of each it has the first 512 bytes.
func (w *Watch) Capture() *Capture {
	c := &Capture{}
	for _, t := range w.taps {
		for _, index := range slices.Sorted(maps.Keys(t.names)) {
			c.listen(t.end(index))
		}
	}
	c.Add(&w.heard)
	return c
}

// WritePcap writes what the watch has heard so far as pcapng: see Capture.WritePcap.
func (w *Watch) WritePcap(out io.Writer) error { return w.Capture().WritePcap(out) }

// Add adds what another has, so that one file may hold the probes of a whole test.
// An interface is known by its node's name and its own.
func (c *Capture) Add(other *Capture) {
	other.mu.Lock()
	where, frames, forgotten := slices.Clone(other.where), slices.Clone(other.frames), other.forgotten
	other.mu.Unlock()
	for _, end := range where {
		c.listen(end)
	}
	for _, f := range frames {
		c.keep(f.where, f.frame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgotten += forgotten
}

// listen notes an interface.
func (c *Capture) listen(where verdict.End) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.where, where) {
		c.where = append(c.where, where)
	}
}

// keep keeps a frame, as long as there is room for it.
func (c *Capture) keep(where verdict.End, f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, heardFrame{where, f})
	c.size += len(f.data) + frameCost
	for c.size > captureBound {
		c.size -= len(c.frames[0].data) + frameCost
		c.frames[0] = heardFrame{}
		c.frames = c.frames[1:]
		c.forgotten++
	}
}

// end is an interface of the tap's node; one that was not there when the watch began
// has no name.
func (t *tap) end(index int) verdict.End {
	name := t.names[index]
	if name == "" {
		name = fmt.Sprintf("if%d", index)
	}
	return verdict.End{Node: t.node.Name(), Interface: name}
}
