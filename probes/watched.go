package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Watch asks as Ask does, and follows the probe on its way. The Result has its
// Timeline and Packets, and the Cause of what was not answered; By is who really sent the
// answer or the refusal, whatever its address. A probe whose end is seen ends
// then: it waits for its bound only where nothing accounts for the silence.
//
// The watch stands from a lab's first probe under watch to its end: the first takes
// some milliseconds, the others some 0.1 ms more than Ask. In a node with nftables
// rules a table of the watch's own stands meanwhile, which nobody else can change
// and goes with it.
func Watch(ctx context.Context, from *harness.Node, to Target, p Probe) (Result, error) {
	watch, addrs, name, err := toWatch(ctx, from, to, p)
	if err != nil {
		return Result{}, fmt.Errorf("watch: %w", err)
	}
	results, errs := make([]Result, len(addrs)), make([]error, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs[1:] {
		asking.Go(func() { results[i+1], errs[i+1] = watchAddr(ctx, watch, from, to, name, addr, p) })
	}
	results[0], errs[0] = watchAddr(ctx, watch, from, to, name, addrs[0], p)
	asking.Wait()
	from.Lab().OnFailure(fmt.Sprintf("probes/%s-%s-%s.txt", from, name, p), func(w io.Writer) error { return tell(w, results) })
	if err := errors.Join(errs...); err != nil {
		return Result{}, fmt.Errorf("watch %s -> %s %s: %w", from, name, p, err)
	}
	return worst(results), nil
}

// toWatch is what watches a probe, and at which addresses it is asked, of a target that is called so.
func toWatch(ctx context.Context, from *harness.Node, to Target, p Probe) (w *watch.Watch, addrs []netip.Addr, name string, err error) {
	if addrs, name, err = addressesFor(ctx, from, to, p); err != nil {
		return nil, nil, "", err
	}
	w, err = watchOf(from, watchedLabs(from, to)...)
	return w, addrs, name, err
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

// watchedLabs are the asker's lab, and the target's if that is another.
func watchedLabs(from *harness.Node, to Target) []*harness.Lab {
	labs := []*harness.Lab{from.Lab()}
	if node := nodeOf(to); node != nil && node.Lab() != from.Lab() {
		labs = append(labs, node.Lab())
	}
	return labs
}

// nodesOf are the nodes of labs.
func nodesOf(labs []*harness.Lab) (nodes []*harness.Node) {
	for _, lab := range labs {
		nodes = append(nodes, lab.Nodes()...)
	}
	return nodes
}

// watched is a probe's part in a watch.
type watched struct {
	watch *watch.Watch
	trail *watch.Trail
	// confirms is false of one that is asked to confirm another's end, or as a frame.
	confirms bool
	over     bool   // its end was seen
	passed   func() // called when its first packets have gone all their way; nil for none
}

// pass says that the probe's first packets have gone all their way: there is room for
// another's.
func (w *watched) pass() {
	if w.passed != nil {
		w.passed()
		w.passed = nil
	}
}

// nonce is what no other packet has.
func (a *asking) nonce() [nonceSize]byte {
	if a.watched == nil {
		return newNonce()
	}
	return a.watched.trail.Flow.Nonce
}

// wait is the socket's, until the probe's bound, or until the end of a probe under watch
// is seen.
func (a *asking) wait(s *socket, write bool, try func() bool) (done bool, err error) {
	if a.watched == nil {
		return s.wait(a.ctx, a.deadline, write, try)
	}
	return a.waitUnder(try, func() bool { return a.result.Outcome == 0 }, func(ctx context.Context, until time.Time) (bool, error) {
		return s.wait(ctx, until, write, try)
	})
}

// untilHeard waits until a time, or until the context is over, or something was heard, and says
// whether it was.
func untilHeard(ctx context.Context, until time.Time, heard <-chan struct{}) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-heard:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// waitUnder waits under a watch. rest waits for the probe's socket, until a time or the
// context is over; open says whether the probe has no outcome.
func (a *asking) waitUnder(try, open func() bool, rest func(context.Context, time.Time) (done bool, err error)) (done bool, err error) {
	if try() {
		return true, nil
	}
	w, trail := a.watched.watch, a.watched.trail
	for pause := quiet; !w.Over(trail); {
		a.watched.pass()
		ctx, cancel := context.WithCancel(a.ctx)
		stop := w.Await(trail, cancel)
		until := a.deadline
		if early := time.Now().Add(pause); a.watched.confirms && open() && early.Before(until) {
			until = early
		}
		done, err = rest(ctx, until)
		stop()
		news := ctx.Err() != nil
		cancel()
		switch {
		case done || err != nil || a.ctx.Err() != nil || !news && until.Equal(a.deadline):
			return done, err
		case news:
		case w.Confirm(trail, a.again):
			a.watched.over = true
			return try(), nil
		default:
			pause = min(pause*2, longest)
		}
	}
	a.watched.over = true
	return try(), nil
}

// quiet is how long nothing more must be seen of a probe before it is looked for what
// stopped it: over veth pairs a packet is through in microseconds. The pauses between
// looks become longer.
const (
	quiet   = 3 * time.Millisecond
	longest = 200 * time.Millisecond
)

func watchAddr(ctx context.Context, watch *watch.Watch, from *harness.Node, to Target, name string, addr netip.Addr, p Probe) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	a, err := newAsking(ctx, from, to, name, addr, p)
	if err != nil {
		return Result{}, err
	}
	if err = a.askUnder(watch, nil); err == nil {
		err = a.unmute(func() error { return a.askUnder(watch, nil) })
	}
	return a.result, err
}

// flow is the probe as a watch follows it.
func (a *asking) flow(w *watch.Watch) wire.Flow {
	f := wire.Flow{From: w.Label(a.from), Addr: a.addr, Protocol: a.probe.kind.protocol, Port: a.probe.port, Out: int(a.scope), First: a.first, Parted: a.source.parted()}
	if f.Crafted = a.probe.kind.crafted; f.Crafted {
		f.Flags = byte(a.probe.flags)
	}
	if a.result.target != nil {
		f.To = w.Label(a.result.target)
	}
	if s := a.source; a.frame == nil && s != (source{}) {
		f.Source, f.Mark, f.TOS, f.UID = s.addr.WithZone(""), s.mark, s.tos(), uint32(s.uid.n)
		if s.device != "" {
			if link, err := a.from.Netlink().LinkByName(s.device); err == nil {
				f.Out = link.Attrs().Index
			}
		}
	}
	if l := a.line; l != nil && l.socket != nil && !f.Source.IsValid() { // a connection keeps the address that it was made from
		if own, err := unix.Getsockname(l.socket.fd); err == nil {
			f.Source = addrPortOf(own).Addr().Unmap().WithZone("")
		}
	}
	return f
}

// follow begins a trail: that of a connection which lives goes on with its numbers.
func (a *asking) follow(w *watch.Watch) (*watch.Trail, error) {
	l := a.line
	if l != nil && l.trail != nil {
		return w.FollowOn(l.trail, a.flow(w))
	}
	trail, err := w.Follow(a.flow(w))
	if err == nil && l != nil && a.probe.kind.protocol == wire.TCP {
		w.Keep(trail)
		l.trail = trail
	}
	return trail, err
}

// askUnder asks under a watch, until the probe ends or its end is seen. It calls passed once,
// unless that is nil, when the probe's first packets have gone all their way.
func (a *asking) askUnder(w *watch.Watch, passed func()) error {
	if err := a.askOnceUnder(w, passed); err != nil || a.line != nil {
		return err
	}
	return a.askWider()
}

func (a *asking) askOnceUnder(w *watch.Watch, passed func()) error {
	a.watched = &watched{watch: w, confirms: a.frame == nil && a.line == nil, passed: passed}
	defer a.watched.pass()
	trail, err := a.follow(w)
	if err != nil {
		return err
	}
	a.watched.trail = trail
	defer w.Done(trail)
	return a.conclude(a.ask())
}

// conclude says what was seen of a probe that was asked under watch; err is asking's.
func (a *asking) conclude(err error) error {
	short := errors.Is(err, unix.ENOBUFS)
	switch {
	case short:
		// A full neighbour table, which is no verdict; or what a driver or a rule
		// on the way out says when it drops, which can be seen.
		a.end(Unsent, netip.Addr{})
		a.result.Errno = unix.ENOBUFS
	case err != nil:
		return err
	}
	if waited := a.outlast(); waited != nil {
		return waited
	}
	a.prove()
	if crowded := a.crowded(err); crowded != nil {
		return crowded
	}
	if short && a.result.Cause.Kind != evidence.Unknown {
		return nil
	}
	return err
}

// prove puts into the result what was seen.
func (a *asking) prove() {
	r, trail := &a.result, a.watched.trail
	r.watch, r.trail = a.watched.watch, trail
	r.met, r.metBack = a.watched.watch.Passages(trail)
	r.waits, r.answerWaits = a.watched.watch.Waiting(trail)
	refuser := ""
	switch r.Outcome {
	case Answered:
		if r.Proven || r.held { // who shook hands on the way is seen first
			r.Proven = true
		} else if by := a.watched.watch.Answerer(trail); by != "" {
			a.proven(a.watched.watch.Node(by), by)
		} else {
			a.unproven()
		}
		a.tell()
		return
	case Refused, Rejected:
		if by := a.watched.watch.Refuser(trail, r.Sender); by != "" {
			refuser = by
			a.proven(a.watched.watch.Node(by), by)
			if r.Outcome == Refused && !a.isTarget(r.by) {
				r.Outcome = Rejected // a reset that the target never sent
			}
		}
	}
	heard := watch.Heard{Errno: r.Errno, Connected: r.connected, Refuser: refuser}
	if r.ICMP != nil {
		heard.ICMP, heard.Type, heard.Code = true, r.ICMP.Type, r.ICMP.Code
	}
	if by := a.watched.watch.Node(a.watched.watch.Answerer(trail)); r.replied && by != nil {
		r.reached = a.isTarget(by)
	}
	cause := a.accountFor(trail, heard)
	a.tell() // not before: all that the cause rests on is told with it
	cause = a.below(a.unexpected(a.late(cause)))
	r.Cause = &cause
	if by := a.watched.watch.Node(cause.Node); r.Outcome == Refused && (cause.Connected || a.line != nil) && cause.Kind == evidence.Reject && !a.isTarget(by) {
		r.Outcome = Rejected // by a rule; its reset has no number that a tap knows it by
		a.proven(by, cause.Node)
	}
}

// tell puts the packets that were seen into the result.
func (a *asking) tell() {
	w, trail := a.watched.watch, a.watched.trail
	a.result.Timeline, a.result.Packets = w.Timeline(trail), w.Packets(trail)
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
