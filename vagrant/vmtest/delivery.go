package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// delivery is what comes from a guest. Its last word on the status port is
// "exit CODE OUTPUT FILES": the test's exit status, and how many bytes it has sent
// by the other two ports. These come by queues of their own, and a guest cannot
// tell when they are empty: complete is called when all is here.
type delivery struct {
	up, complete    func() // called once each
	wasUp, wasWhole sync.Once
	mu              sync.Mutex
	status          bytes.Buffer
	output, files   int64
}

// statusWriter takes what comes by the status port.
func (d *delivery) statusWriter() io.Writer {
	return writerFunc(func(p []byte) (int, error) {
		defer d.check()
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.status.Write(p)
	})
}

// counted reads on, and counts into one of the delivery's fields.
func (d *delivery) counted(r io.Reader, bytes *int64) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		d.mu.Lock()
		*bytes += int64(n)
		d.mu.Unlock()
		d.check()
		return n, err
	})
}

func (d *delivery) check() {
	if up, _ := d.report(); up {
		d.wasUp.Do(d.up)
	}
	if d.whole() {
		d.wasWhole.Do(d.complete)
	}
}

// whole holds when all that the guest has sent is here.
func (d *delivery) whole() bool {
	_, last := d.report()
	d.mu.Lock()
	defer d.mu.Unlock()
	return last != nil && d.output >= last.output && d.files >= last.files
}

// exit is a guest's last word.
type exit struct {
	code          int
	output, files int64
}

// report is what the guest said so far: that it is up, and its last word.
func (d *delivery) report() (up bool, last *exit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for line := range strings.Lines(d.status.String()) {
		line, whole := strings.CutSuffix(line, "\n")
		var e exit
		switch n, _ := fmt.Sscanf(line, wordExit+" %d %d %d", &e.code, &e.output, &e.files); {
		case !whole:
		case line == wordUp:
			up = true
		case n == 3:
			last = &e
		}
	}
	return up, last
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
