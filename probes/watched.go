package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Watch asks as Ask does, and follows the probe on its way. The Result has its
// Timeline, and the Cause of what was not answered; By is who really sent the
// answer or the refusal, whatever its address. A probe whose end is seen ends
// then: it waits for its bound only where nothing accounts for the silence.
//
// Watching costs some 10 to 20 ms. In a node with nftables rules a table of the
// watch's own stands meanwhile.
func Watch(ctx context.Context, from *harness.Node, to Target, p Probe) (Result, error) {
	if from == nil {
		return Result{}, fmt.Errorf("watch: no node to ask from")
	}
	if err := p.check(); err != nil {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	addrs, name, err := addresses(from, to)
	if err != nil {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	watch, err := watch.Open(watchedNodes(from, to), flowsOf([]Probe{p})...)
	if err != nil {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	results, errs := make([]Result, len(addrs)), make([]error, len(addrs)+1)
	var asking sync.WaitGroup
	for i, addr := range addrs {
		asking.Go(func() { results[i], errs[i] = watchAddr(ctx, watch, from, to, name, addr, p) })
	}
	asking.Wait()
	errs[len(addrs)] = watch.Close()
	keep(from.Lab(), watch, fmt.Sprintf("probes/%s-%s-%s", from, name, p), func(w io.Writer) error { return tell(w, results) })
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("watch %s -> %s %s: %w", from, name, p, err)
	}
	return worst(results), nil
}

// captureKey is where a lab keeps what its watches heard: one file of the failure
// bundle.
type captureKey struct{}

// keep puts into the failure bundle what a watch saw: the packets, and what tell
// writes of them.
func keep(lab *harness.Lab, under *watch.Watch, name string, tell func(io.Writer) error) {
	all := lab.Keep(captureKey{}, func() any {
		all := &watch.Capture{}
		lab.OnFailure("packets.pcapng", all.WritePcap)
		return all
	})
	all.(*watch.Capture).Add(under.Capture())
	lab.OnFailure(name+".txt", tell)
}

// tell writes results with their causes and timelines.
func tell(w io.Writer, results []Result) error {
	for _, r := range results {
		cause := "answered"
		if r.Cause != nil {
			cause = r.Cause.String()
		}
		if _, err := fmt.Fprintf(w, "%s\n  %s\n%s\n\n", r, cause, seen(r)); err != nil {
			return err
		}
	}
	return nil
}

// watchedNodes are those of the asker's lab, and of the target's if that is another.
func watchedNodes(from *harness.Node, to Target) []*harness.Node {
	nodes := from.Lab().Nodes()
	if node := nodeOf(to); node != nil && node.Lab() != from.Lab() {
		nodes = append(nodes, node.Lab().Nodes()...)
	}
	return nodes
}

// watched is a probe's part in a watch.
type watched struct {
	watch *watch.Watch
	flow  wire.Flow
	once  sync.Once
	begun chan struct{} // closed when trail is there
	trail *watch.Trail
}

// follow begins the trail: when the source port is known, and before anything is
// sent.
func (w *watched) follow() *watch.Trail {
	w.once.Do(func() {
		w.trail = w.watch.Follow(w.flow)
		close(w.begun)
	})
	return w.trail
}

// nonce is what no other packet has.
func (a *asking) nonce() [nonceSize]byte {
	if a.watched == nil {
		return newNonce()
	}
	return a.watched.follow().Flow.Nonce
}

// from tells the source port of a probe under watch, so that its first packet is
// known.
func (w *watched) from(port uint16) {
	if w != nil {
		w.flow.SourcePort = port
		w.follow()
	}
}

func watchAddr(ctx context.Context, watch *watch.Watch, from *harness.Node, to Target, name string, addr netip.Addr, p Probe) (Result, error) {
	a, err := newAsking(ctx, from, to, name, addr, p)
	if err != nil {
		return Result{}, err
	}
	err = a.askUnder(watch, func() {})
	return a.result, err
}

// askUnder asks under a watch, until the probe ends or its end is seen. It calls
// passed once what its first packets did was heard.
func (a *asking) askUnder(watch *watch.Watch, passed func()) error {
	ctx := a.ctx
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	a.ctx = within
	a.watched = &watched{watch: watch, begun: make(chan struct{}), flow: wire.Flow{
		From: a.from.Name(), To: a.result.targetName(), Addr: a.addr, Protocol: a.probe.kind.protocol, Port: a.probe.port,
	}}
	ended := make(chan error, 1)
	go func() {
		err := a.ask()
		cancel()
		ended <- err
	}()
	select {
	case <-a.watched.begun:
		proved := make(chan struct{})
		defer close(proved)
		go func() {
			select {
			case <-a.watched.trail.Passed():
			case <-proved: // nothing was heard of it
			}
			passed()
		}()
		watch.Conclude(within, a.watched.trail)
		cancel()
	case <-within.Done():
	}
	err := <-ended
	short := errors.Is(err, unix.ENOBUFS)
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() == nil:
		// Its end was seen: there is nothing to wait for.
		a.inVain(a.result.detail)
		err = nil
	case short:
		// A full neighbour table, which is no verdict; or what a driver or a rule
		// on the way out says when it drops, which can be seen.
		a.end(Unsent, netip.Addr{})
		a.result.Errno = unix.ENOBUFS
	case err != nil:
		return err
	}
	a.prove()
	if short && a.result.Cause.Kind != evidence.Unknown {
		return nil
	}
	return err
}

// prove puts into the result what was seen.
func (a *asking) prove() {
	r, trail := &a.result, a.watched.follow()
	r.Timeline = a.watched.watch.Timeline(trail)
	switch r.Outcome {
	case Answered:
		if r.Proven || r.held { // who shook hands on the way is seen first
			r.Proven = true
		} else if by := r.Timeline.Answerer(); by != "" {
			a.proven(a.nodeCalled(by), by)
		}
		return
	case Refused, Rejected:
		if by := r.Timeline.Refuser(); by != "" {
			a.proven(a.nodeCalled(by), by)
			if r.Outcome == Refused && !a.isTarget(r.by) {
				r.Outcome = Rejected // a reset that the target never sent
			}
		}
	}
	heard := watch.Heard{Errno: r.Errno}
	if r.ICMP != nil {
		heard.ICMP, heard.Type, heard.Code = true, r.ICMP.Type, r.ICMP.Code
	}
	cause := a.watched.watch.Explain(trail, heard)
	r.Cause = &cause
}

// isTarget says whether a node is the one that was asked, or may be: an address's owner,
// or anybody where the plan knows none.
func (a *asking) isTarget(node *harness.Node) bool {
	if a.result.target != nil {
		return sameNode(node, a.result.target)
	}
	owners := a.ownersOf(a.addr)
	return len(owners) == 0 || slices.Contains(owners, node)
}
