package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// bundleBound is how long the bundle of a lab may take, and nodesBound how much of
// it the nodes may: what others registered is to have its turn. A test of what is in
// a bundle takes longer on a busy machine.
var bundleBound, nodesBound = 5 * time.Second, 3 * time.Second

const (
	// fileBound is how long a file of it may become, in bytes.
	fileBound = 64 << 20
	// readers is how many nodes are read at once.
	readers = 4
)

// bundle is what is written of a lab when its test has failed.
type bundle struct {
	lab *Lab
	ctx context.Context
	dir string
}

// writeBundle writes the bundle if the test has failed, and says where it is. The
// lab is still up. Whatever goes wrong, the test's outcome is what it was.
func (l *Lab) writeBundle(records []record) {
	l.tb.Helper()
	if !l.tb.Failed() && !panicking() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), bundleBound)
	defer cancel()
	b := &bundle{lab: l, ctx: ctx}
	made := make(chan string, 1)
	if err := b.bounded(func() error {
		dir, err := b.makeDir()
		made <- dir
		return err
	}); err != nil {
		l.tb.Logf("nstest: lab %s: no failure bundle: %v", l.Name(), err)
		return
	}
	b.dir = <-made
	if err := b.write(records); err != nil {
		l.tb.Logf("nstest: lab %s: only a part of the failure bundle could be written to %s: %v", l.Name(), b.dir, err)
		return
	}
	l.tb.Logf("nstest: lab %s as it was when the test had failed: %s", l.Name(), b.dir)
}

// write writes every file, and last of all the index.
func (b *bundle) write(records []record) error {
	index, err := os.OpenFile(filepath.Join(b.dir, "README.txt"), os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	entries := []entry{b.file("plan.txt", "the network as it was declared, or found where it was attached, with names, addresses and routes", func(w io.Writer) error {
		_, err := io.WriteString(w, b.lab.Plan().String())
		return err
	})}
	entries = append(entries, b.nodes()...)
	entries = append(entries, b.openVSwitches()...)
	entries = append(entries, b.impairments()...)
	// After the nodes: what a record does must not change what they were like.
	for _, r := range records {
		entries = append(entries, b.file(safePath(r.name), "added with Lab.OnFailure", r.write))
	}
	entries = append(entries, b.file("sysctls.txt", "what is not as in a new namespace, node by node", b.sysctls))
	return errors.Join(b.writeIndex(index, entries), index.Close())
}

// nodes reads every node, and the fabric with the switches' bridges.
func (b *bundle) nodes() []entry {
	ctx, cancel := context.WithTimeout(b.ctx, nodesBound)
	defer cancel()
	b = &bundle{lab: b.lab, ctx: ctx, dir: b.dir}
	type place struct {
		file, about string
		ground      *ground
	}
	var places []place
	for _, node := range b.lab.now().nodes {
		places = append(places, place{"nodes/" + safePath(node.name) + ".txt", "links, addresses, peers of WireGuard, routes, neighbours, rulesets, connections, sockets", node.ground})
	}
	if b.lab.now().fabric != nil {
		places = append(places, place{"fabric.txt", "where the switches' bridges are", b.lab.now().fabric})
	}
	entries, next := make([]entry, len(places)), make(chan int, len(places))
	for i := range places {
		next <- i
	}
	close(next)
	var reading sync.WaitGroup
	for range min(readers, len(places)) {
		reading.Go(func() {
			for i := range next {
				entries[i] = b.file(places[i].file, places[i].about, b.stateOf(places[i].ground))
			}
		})
	}
	reading.Wait()
	return entries
}

// entry is a file in the index.
type entry struct {
	name, about string
	err         error
}

// file writes a file of the bundle, as far as that goes.
func (b *bundle) file(name, about string, write func(io.Writer) error) entry {
	named := make(chan string, 1)
	err := b.bounded(func() error {
		var file *os.File
		path, err := untaken(filepath.Join(b.dir, name), filepath.Ext(name), func(path string) error {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				return err
			}
			var err error
			file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o644)
			return err
		})
		if err != nil {
			return err
		}
		defer file.Close()
		named <- path
		return write(&capped{file, b.ctx, fileBound})
	})
	select {
	case path := <-named:
		name, _ = filepath.Rel(b.dir, path)
	default:
	}
	return entry{name, about, err}
}

var errLate = errors.New("there was not time enough")

// bounded runs f beside and waits for it, but no longer than the bundle may take.
// A panic of f is an error, and so is its goroutine's end.
func (b *bundle) bounded(f func() error) error {
	if b.ctx.Err() != nil {
		return errLate
	}
	done := make(chan verdict, 1)
	go perform(f, done)
	select {
	case v := <-done:
		switch {
		case v.panicked != nil:
			return fmt.Errorf("panic: %v", v.panicked)
		case v.exited:
			return errors.New("it gave up, as FailNow does")
		}
		return v.err
	case <-b.ctx.Done():
		return errLate
	}
}

// capped is a file that takes so much and no more, and nothing when it is late.
type capped struct {
	w    io.Writer
	ctx  context.Context
	left int
}

func (w *capped) Write(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, errLate
	}
	fits := p[:min(len(p), w.left)]
	n, err := w.w.Write(fits)
	w.left -= n
	if err == nil && len(fits) < len(p) {
		err = fmt.Errorf("cut off after %d bytes", fileBound)
	}
	return n, err
}

// panicking says whether the calling goroutine is on its way out of a panic: the
// clean-up that runs on the way finds the test not failed yet.
func panicking() bool {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == "runtime.gopanic" {
			return true
		}
		if !more {
			return false
		}
	}
}
