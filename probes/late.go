package probes

import (
	"fmt"
	"slices"
	"time"

	"github.com/nstest/nstest/probes/evidence"
)

// A responder of Serve is a goroutine of the test's own process: on a machine that has much
// to do it gets its turn after a probe's bound. That is no verdict about the network, and is
// told as what it is.

// late says, of a probe that was silent for no other reason that is known, what came too
// late for it; where nothing is known to have, the cause stays as it is.
func (a *asking) late(cause evidence.Cause) evidence.Cause {
	r := &a.result
	if r.Outcome != Silent || !isOpen(cause) || cause.Node == "" { // without a node something was lost from sight
		return cause
	}
	if what := overdue(r.Timeline, cause.Node, a.deadline, r.connected); what != "" {
		cause.Detail = fmt.Sprintf("%s, and the probe's bound is %s: give it more time (Within)", what, a.probe.bound())
		return cause
	}
	last, ok := a.arrived()
	if !ok || a.probe.words != nil || !r.connected && (cause.Leg != evidence.Request || last.Node != cause.Node) {
		return cause
	}
	cause.Detail = fmt.Sprintf("its responder (Serve) has not answered in %s, perhaps since this machine is busy: give the probe more time (Within)", a.probe.bound())
	if r.connected {
		cause.Node, cause.Interface, cause.Leg, cause.Connected = last.Node, last.Interface, evidence.Request, true
	}
	return cause
}

// isOpen says whether a cause leaves open why nothing came back.
func isOpen(cause evidence.Cause) bool {
	return cause.Kind == evidence.Unknown || cause.Kind == evidence.NoAnswer
}

// arrived is where the last request came in that was let in at a node with a responder for
// it; of a connection, what was sent over it.
func (a *asking) arrived() (evidence.Sighting, bool) {
	r := &a.result
	for _, s := range slices.Backward(r.Timeline) {
		if s.Role != evidence.Request || s.Direction != evidence.In || s.Foreign || r.connected && !r.carries(s) {
			continue
		}
		at, port := a.watched.watch.Node(s.Node), a.probe.port
		if s.DestinationPort != 0 { // translation may have changed it
			port = s.DestinationPort
		}
		if at != nil && r.letIn(s.Node) && isServed(at, Probe{kind: a.probe.kind, port: port}) {
			return s, true
		}
	}
	return evidence.Sighting{}, false
}

// carries says whether a packet of a connection carries the request for a signature: it is
// as much longer than the shortest.
func (r Result) carries(s evidence.Sighting) bool {
	return slices.ContainsFunc(r.Timeline, func(other evidence.Sighting) bool {
		return other.Role == evidence.Request && other.Node == s.Node && other.Direction == s.Direction && s.Length-other.Length >= requestSize
	})
}

// overdue says by the kernel's own time when the first answer came to where it was last seen, if
// the bound was over by then; "" otherwise. A request that is sent again is answered again. Of a
// connection that was made it is the last one that counts.
func overdue(seen evidence.Timeline, node string, bound time.Time, connected bool) (late string) {
	for _, s := range seen {
		if s.Role != evidence.Answer || s.Node != node || s.Dropped() {
			continue
		}
		switch in := !s.At.After(bound); {
		case in && connected:
			late = ""
		case in:
			return ""
		case late == "" || connected:
			late = fmt.Sprintf("it came there %s after it was asked for", s.At.Sub(seen[0].At).Round(time.Millisecond))
		}
	}
	return late
}

// letIn says whether a request was let in at a node.
func (r Result) letIn(node string) bool {
	return slices.ContainsFunc(r.Packets, func(p evidence.Packet) bool {
		return p.Role == evidence.Request && p.Node == node && p.Fate == evidence.Delivered
	})
}
