package probes

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
	"golang.org/x/sys/unix"
)

// Ask asks one question and says how it ended. The error is for a probe that
// could not be made: no such target, no descriptors, or a context that was over
// before the probe's own bound. It is never a verdict.
//
// A target with several addresses is asked at all of them at once; see
// Result.Each. Any number of goroutines may ask at once.
func Ask(ctx context.Context, from *harness.Node, to Target, p Probe) (Result, error) {
	addrs, name, err := addressesFor(ctx, from, to, p)
	if err != nil {
		return Result{}, fmt.Errorf("ask: %w", err)
	}
	if watch.Covering() {
		_, end := cover(watchedLabs(from, to), p)
		defer end()
	}
	results := make([]Result, len(addrs))
	errs := make([]error, len(addrs))
	var asking sync.WaitGroup
	for i, addr := range addrs[1:] {
		asking.Go(func() { results[i+1], errs[i+1] = askAddr(ctx, from, to, name, addr, p) })
	}
	results[0], errs[0] = askAddr(ctx, from, to, name, addrs[0], p)
	asking.Wait()
	for i, err := range errs {
		if err != nil {
			return Result{}, fmt.Errorf("ask %s -> %s (%s) %s: %w", from, name, addrs[i], p, err)
		}
	}
	return worst(results), nil
}

// worst is the first result that was not answered, or the first; with all of
// them when there are several.
func worst(results []Result) Result {
	at := max(0, slices.IndexFunc(results, func(r Result) bool { return r.Outcome != Answered }))
	result := results[at]
	if len(results) > 1 {
		result.Each = results
	}
	return result
}

// asking is one probe under way.
type asking struct {
	ctx      context.Context
	from     *harness.Node
	addr     netip.Addr // without a zone
	scope    uint32     // the zone's interface
	probe    Probe
	source   source          // the probe's, with the index of its zone
	first    bool            // of a program the first answer alone matters
	binds    int             // how often it was bound
	port     uint16          // that it is sent from; 0 until its socket is made, and where it has none
	labs     [2]*harness.Lab // whose nodes may have an address; nil is none
	owners   []*harness.Node // of addr, where they were looked up already
	start    time.Time
	deadline time.Time
	watched  *watched // nil for a bare probe
	pace     func()   // nil where it may begin at any time
	made     *int     // its socket, where there is one already
	frame    *frame   // nil for a probe that a socket sends
	deep     int      // under how many tunnels it carries
	line     *line    // what is kept of a connection that lives; nil for a probe by itself
	result   Result
}

func newAsking(ctx context.Context, from *harness.Node, to Target, name string, addr netip.Addr, p Probe) (asking, error) {
	a := asking{ctx: ctx, from: from, addr: addr.WithZone(""), probe: p, source: p.source}
	a.result = Result{From: from.Name(), To: name, Addr: addr, Probe: p, from: from}
	a.labs[0] = from.Lab()
	if node := nodeOf(to); node != nil {
		a.result.target = node
		if node.Lab() != from.Lab() {
			a.labs[1] = node.Lab()
		}
	}
	var err error
	if a.scope, err = scopeOf(from, addr); err == nil && p.source.addr.Zone() != "" {
		a.source.scope, err = scopeOf(from, p.source.addr)
	}
	return a, err
}

func askAddr(ctx context.Context, from *harness.Node, to Target, name string, addr netip.Addr, p Probe) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, err
	}
	a, err := newAsking(ctx, from, to, name, addr, p)
	if err != nil {
		return Result{}, err
	}
	if err = a.ask(); err == nil {
		err = a.unmute(a.ask)
	}
	if crowded := a.crowded(err); crowded != nil {
		return a.result, crowded
	}
	return a.result, err
}

func (a *asking) ask() error {
	if a.frame != nil {
		return a.askFrame()
	}
	if err := a.isFragmented(); err != nil {
		return err
	}
	return a.probe.kind.ask(a)
}

// begin starts the clock.
func (a *asking) begin() {
	if a.pace != nil {
		a.pace()
	}
	a.start = time.Now()
	a.deadline = a.start.Add(a.probe.bound())
}

// end notes the outcome; by is found from the sender's address.
func (a *asking) end(outcome Outcome, sender netip.Addr) {
	a.result.RTT = time.Since(a.start)
	a.result.Outcome = outcome
	if !sender.IsValid() {
		return
	}
	a.result.Sender = sender
	owners := a.owners
	if sender != a.addr || owners == nil {
		owners = a.ownersOf(sender)
	}
	if len(owners) == 1 {
		a.result.by, a.result.By = owners[0], owners[0].Name()
	} else {
		a.result.owners = owners
	}
}

// ownersOf are the nodes that have an address now, of the first lab in which one has: the
// target's, where the asker was attached alone. None is also where that cannot be read.
func (a *asking) ownersOf(addr netip.Addr) []*harness.Node {
	labs := a.labs
	if a.from.Alone() && labs[1] != nil {
		labs[0], labs[1] = labs[1], labs[0]
	}
	for _, lab := range labs {
		if lab == nil {
			continue
		}
		if found, err := owners(lab, addr); err != nil || len(found) > 0 {
			return found
		}
	}
	return nil
}

// proven notes who is known to have sent the answer.
func (a *asking) proven(by *harness.Node, name string) {
	r := &a.result
	r.by, r.By, r.Proven, r.owners = by, name, true, nil
}

// unproven notes that nobody is known to have sent it: several answered, perhaps.
func (a *asking) unproven() {
	r := &a.result
	r.by, r.By = nil, ""
}

// nodes are those of the labs that the probe may meet.
func (a *asking) nodes() (nodes []*harness.Node) {
	for _, lab := range a.labs {
		if lab != nil {
			nodes = append(nodes, lab.Nodes()...)
		}
	}
	return nodes
}

// unsent are the errors of connect and send that say that nothing left (ip(7),
// send(2)): no route (also by an unreachable, prohibit or blackhole route), link
// down, an output rule, a packet that is too large, no address to send from.
var unsent = []unix.Errno{
	unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL, unix.EPERM,
	unix.EMSGSIZE, unix.ENETDOWN, unix.EADDRNOTAVAIL,
	unix.ENOKEY, unix.EDESTADDRREQ, // WireGuard's: no peer, or none whose endpoint is known
}

// refusedLocally ends the probe when err says that nothing was sent; any other
// error is no verdict.
func (a *asking) refusedLocally(err error) error {
	errno, ok := err.(unix.Errno)
	if !ok || !slices.Contains(unsent, errno) {
		return err
	}
	if a.start.IsZero() {
		a.begin() // no socket could be made for it
	}
	a.end(Unsent, netip.Addr{})
	a.result.Errno = errno
	return nil
}

// silence ends the probe when its time is over, unless its context's is.
func (a *asking) silence() error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	a.end(Silent, netip.Addr{})
	return nil
}

// failed ends the probe with an entry of the error queue.
func (a *asking) failed(q queued) {
	a.result.Errno = q.errno
	if q.origin == unix.SO_EE_ORIGIN_LOCAL || q.offender != a.addr && a.own(q.offender) {
		// The node's own kernel says so: too large, or nobody answered its
		// neighbour requests.
		a.end(Unsent, netip.Addr{})
		return
	}
	outcome := Rejected
	if q.offender == a.addr && q.closedPort() {
		outcome = Refused
	}
	a.end(outcome, q.offender)
	a.result.ICMP = &ICMPError{Type: q.kind, Code: q.code, Info: q.mtu()}
}

// own says whether the asker has an address now; by its plan, where that cannot be read.
func (a *asking) own(addr netip.Addr) bool {
	found, err := owners(a.from.Lab(), addr)
	return addr.IsLoopback() || slices.Contains(found, a.from) || err != nil && slices.Contains(a.from.Addrs(), addr)
}
