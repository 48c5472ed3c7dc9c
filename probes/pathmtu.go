package probes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
)

// MTU is what PathMTU has found: how much gets from a node to a target in one packet.
type MTU struct {
	// From and To name the asker and the target, Addr is the address that was asked.
	From, To string
	Addr     netip.Addr
	Probe    Probe
	// Bytes is the size of the largest packet that arrived, with its IP header; a byte more does not.
	Bytes int
	// Kernel is what the asker's kernel takes the way to take from now on, in bytes (IP_MTU, ip(7)):
	// what it has learned from ICMP errors, or its route's or interface's MTU.
	Kernel int
	// Locked is true where the asker's route has kept its MTU whatever ICMP said ("mtu lock"). Some kernels
	// learn of IPv6 all the same, and then it is false.
	Locked bool
	// Narrow are what ended larger packets, a Result for each place, in the order in which they
	// were met: the Cause names the node and the interface, and the Outcome is Rejected where the
	// asker was told.
	Narrow []Result
}

// PathMTU finds the MTU of the path to a target, by probes of different sizes that are not to be
// fragmented: first as much as the asker's interface takes, and then less, by what ICMP errors or the
// links say, or by halves. All are watched (see Watch), so that it is found, and named, also where the ICMP
// error does not come back: such a path is a BlackHole to what is larger. The path is that
// of the requests; how large an answer may be is not asked.
//
//	mtu, err := probes.PathMTU(ctx, client, server, probes.ICMP())
//	Expect(mtu.Bytes).To(Equal(1280))
//	fmt.Println(mtu)
//	// client -> server (10.0.2.1) icmp: 1280 bytes; the kernel of client takes it to be 1500: a black hole
//	//   the request was too large at fw/dmz: 1500 bytes, and the link takes 1280; the ICMP error that says so was dropped at fw by rule ...
//
// The probe is ICMP, UDP or UDPLite without a Size. A target with several addresses is asked at the first. Where
// nothing arrives, however small, or it is not known what became of a packet, there is an error and no MTU.
// What the asker's kernel learns from it stays learned, as from any traffic.
func PathMTU(ctx context.Context, from *harness.Node, to Target, p Probe) (MTU, error) {
	if err := checkMTU(p); err != nil {
		return MTU{}, fmt.Errorf("path MTU: probe %s: %w", p, err)
	}
	w, addrs, name, err := toWatch(ctx, from, to, p)
	if err != nil {
		return MTU{}, fmt.Errorf("path MTU: %w", err)
	}
	a, err := newAsking(ctx, from, to, name, addrs[0], p)
	if err != nil {
		return MTU{}, fmt.Errorf("path MTU: %w", err)
	}
	s := sizing{asking: &a, watch: w, to: to, MTU: MTU{From: from.Name(), To: name, Addr: addrs[0], Probe: p}}
	if err := errors.Join(s.begin(), s.search(), s.learned()); err != nil {
		return MTU{}, fmt.Errorf("path MTU %s -> %s (%s) %s: %w", from, name, addrs[0], p, err)
	}
	return s.MTU, nil
}

// checkMTU says what is wrong with a probe whose size is to be chosen.
func checkMTU(p Probe) error {
	switch {
	case p.kind == nil:
		return p.check()
	case !p.kind.fragments:
		return errors.New("its size cannot be chosen: use ICMP, UDP or UDPLite")
	case p.size != 0 || p.words != nil:
		return errors.New("sizes are what is asked for: leave Size, Send and Await out")
	case p.source.parted():
		return errors.New("whole packets are asked for: leave Fragmented and Extended out")
	}
	return nil
}

// sizing is a search for the largest packet that arrives.
type sizing struct {
	*asking
	MTU
	watch *watch.Watch
	to    Target
	// fits arrived, 0 before one has; fails is too large; lock is what the asker's route is locked to, 0
	// for nothing.
	fits, fails, lock int
}

// begin reads what the asker's interface takes, which no packet is to be larger than, and whether its route
// is locked.
func (s *sizing) begin() error {
	ns, err := watch.NamespaceOf(s.from)
	if err != nil {
		return err
	}
	q := verdict.FirstQuestion(s.flow(s.watch))
	way, err := ns.Lookup(q)
	if err != nil {
		return err
	}
	s.fails = s.header() + maxSize + 1
	if way.Errno != 0 {
		return nil // the first probe tells why
	}
	state, err := ns.Read(s.from.Name())
	if err != nil {
		return err
	}
	if mtu := state.Link(way.Out).MTU; mtu > 0 {
		s.fails = min(s.fails, mtu+1)
	}
	d, ok := state.Decide(q)
	if ok && d.Route != nil && d.Route.MTULocked {
		s.lock = d.Route.MTU
	}
	return nil
}

// search asks until a packet arrives of which one more byte does not.
func (s *sizing) search() error {
	least := s.header() + defaultSize
	next, most := s.fails-1, s.fails-1
	for {
		r, err := watchAddr(s.ctx, s.watch, s.from, s.to, s.To, s.addr, s.Probe.Size(next-s.header()))
		if err != nil {
			return err
		}
		hint := 0
		switch arrived, why := s.arrived(r); {
		case why != "":
			return fmt.Errorf("%d bytes: inconclusive: %s", next, why)
		case arrived:
			s.fits = next
		case next <= least:
			return fmt.Errorf("nothing arrives, however small: %s: %s", r, r.Cause)
		default:
			s.fails, hint = next, takes(r)
			s.narrows(r)
		}
		switch {
		case s.fits+1 == s.fails || s.fits == most:
			s.Bytes = s.fits
			return nil
		case hint >= least && hint > s.fits && hint < s.fails:
			next = hint
		case s.fits == 0:
			next = least
		case s.fits == next && len(s.Narrow) > 0 && takes(s.Narrow[len(s.Narrow)-1]) == next:
			next++ // it is what they say: and not more?
		default:
			next = (s.fits + s.fails) / 2
		}
	}
}

// arrived says whether a request came to the target, or why that is not known.
func (s *sizing) arrived(r Result) (arrived bool, why string) {
	c := r.Cause
	switch {
	case r.reaches() || r.delivered():
		return true, ""
	case c == nil:
		return false, "nothing was seen of its end: " + r.String()
	case c.Kind == evidence.Unknown || c.Chance || c.Passing || r.waits != "":
		return false, c.String()
	}
	return false, ""
}

// narrows notes where a packet was too large, once for each place: one of which the asker was told, if
// there is one.
func (s *sizing) narrows(r Result) {
	for i, other := range s.Narrow {
		if other.Cause.Node == r.Cause.Node && other.Cause.Interface == r.Cause.Interface && other.Cause.Kind == r.Cause.Kind {
			if other.Outcome != Rejected && r.Outcome == Rejected {
				s.Narrow[i] = r
			}
			return
		}
	}
	s.Narrow = append(s.Narrow, r)
}

// takes is what is said that a link or route takes; 0 where nothing is.
func takes(r Result) int {
	if r.ICMP != nil && r.ICMP.Info > 0 {
		return r.ICMP.Info
	}
	return r.Cause.MTU
}

// learned reads what the asker's kernel has made of it.
func (s *sizing) learned() (err error) {
	if s.Bytes == 0 {
		return nil
	}
	s.Kernel, err = s.mtu()
	s.Locked = s.lock > 0 && s.Kernel == s.lock
	return err
}

// BlackHole says whether packets vanish that are larger than Bytes, and the asker, whose kernel would send
// them, is not told: connections hang there that have opened. A kernel that is told and keeps to what a
// locked route says is none: over IPv4 it lets routers fragment.
func (m MTU) BlackHole() bool {
	return m.Kernel > m.Bytes && len(m.Narrow) > 0 && m.Narrow[len(m.Narrow)-1].Outcome != Rejected
}

// String is what was found, and a line for each place that takes less.
func (m MTU) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s -> %s (%s) %s: %d bytes", m.From, m.To, m.Addr, m.Probe, m.Bytes)
	if m.Kernel != m.Bytes {
		fmt.Fprintf(&text, "; the kernel of %s takes it to be %d", m.From, m.Kernel)
		if m.Locked {
			text.WriteString(", which its route has locked")
		}
	}
	if m.BlackHole() {
		text.WriteString(": a black hole")
	}
	for _, r := range m.Narrow {
		fmt.Fprintf(&text, "\n  %s", r.Cause)
	}
	return text.String()
}

// GomegaString keeps Gomega from printing the whole lab.
func (m MTU) GomegaString() string { return m.String() }
