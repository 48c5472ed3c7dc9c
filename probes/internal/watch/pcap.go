package watch

import (
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/nstest/nstest/probes/internal/verdict"
)

// captureBound is how much a Capture keeps, in bytes; frameCost is what a frame
// takes besides its own.
const (
	captureBound = 4 << 20
	frameCost    = 128
)

// Capture is frames as the taps of a watch heard them. It keeps 4 MiB, and then
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

// WritePcap writes what the watch has heard so far as pcapng: see Capture.WritePcap.
// all of the last frames that the nodes' interfaces had of probes, and of the questions
// and answers about neighbours; of each it has the first 512 bytes.
func (w *Watch) WritePcap(out io.Writer) error {
	w.mu.Lock()
	w.drain()
	for _, p := range w.points {
		if p.devices == nil {
			p.readDevices()
		}
		for _, index := range slices.Sorted(maps.Keys(p.devices)) {
			w.heard.listen(verdict.End{Node: p.label, Interface: p.devices[index].Name})
		}
	}
	w.mu.Unlock()
	return w.heard.WritePcap(out)
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
func (c *Capture) keep(where verdict.End, f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := *f
	kept.data = slices.Clone(f.data)
	c.frames = append(c.frames, heardFrame{where, kept})
	c.size += len(f.data) + frameCost
	for c.size > captureBound {
		c.size -= len(c.frames[0].data) + frameCost
		c.frames[0] = heardFrame{}
		c.frames = c.frames[1:]
		c.forgotten++
	}
}
