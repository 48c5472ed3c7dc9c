package probes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/wire"
)

// margin is how many packets are sent before something changes, and after it.
const margin = 10

// Stream sends packets while f changes something, some before and some after, and says which of
// them arrived: how long a way was open, or closed, during a reload. A packet is sent every so
// often, a millisecond apart for zero, and each has a fate of its own.
//
//	flows, err := probes.Stream(ctx, client, server, probes.UDP(53), 0, func() error { return fw.Nft(rules) })
//	...
//	for _, flow := range flows {
//		Expect(flow.Open().Packets).To(BeZero(), "%s", flow)
//	}
//
// There is a flow for each address of the target, IPv4's first. The probe is UDP or ICMP: its
// source, size and bound count, and no responder is needed. Each packet comes from a port, or
// with an id, of its own, as what tracks connections would pass those of one that it knows;
// FromPort has them all be of one.
//
// A packet has arrived when it was delivered in the target, past its input rules, whether or not
// anybody listens. What was not by the bound of the probe (Within) after the last was sent is
// lost: Watch tells by what. f runs in the caller's goroutine. The error is f's, or that of a
// context that is over meanwhile, or says why packets could not be sent or counted.
func Stream(ctx context.Context, from *harness.Node, to Target, p Probe, every time.Duration, f func() error) ([]Flow, error) {
	s, err := newStream(ctx, from, to, p, every)
	if err == nil && f == nil {
		err = errors.New("no function that changes something: pass one, or one that returns nil")
	}
	if err != nil {
		return nil, fmt.Errorf("stream: %w", err)
	}
	defer s.close()
	if err := s.run(ctx, f); err != nil {
		return nil, fmt.Errorf("stream %s -> %s %s: %w", from, s.to, p, err)
	}
	return s.flows(), nil
}

// stream is packets on their way.
type stream struct {
	probe Probe
	to    string // the target's name
	every time.Duration
	labs  []*harness.Lab
	id    [streamID]byte // what the payload of its packets begins with
	lanes []*lane
	ears  []*ear
	done  []func() // what is to be done at its end
	at    [2]time.Time

	sending sync.WaitGroup
	hearing sync.WaitGroup
	deafen  func()        // ends hearing, when all is noted that was there
	changed chan struct{} // has room for one: more was sent or heard
	mu      sync.Mutex
	err     error
}

func newStream(ctx context.Context, from *harness.Node, to Target, p Probe, every time.Duration) (*stream, error) {
	addrs, name, err := addressesFor(ctx, from, to, p)
	switch {
	case err != nil:
		return nil, err
	case p.kind.unserved || p.kind.protocol == wire.TCP:
		return nil, fmt.Errorf("probe %s: a stream is of packets without a connection: use UDP or ICMP", p)
	case p.words != nil:
		return nil, fmt.Errorf("probe %s: a stream says no words: leave Send and Await out, or use Connect", p)
	case p.source.fragmented:
		return nil, fmt.Errorf("probe %s: a stream's packets are small: leave Fragmented out", p)
	case every < 0:
		return nil, fmt.Errorf("a packet every %s: it is some time, or 0 for a millisecond", every)
	case every == 0:
		every = time.Millisecond
	}
	s := &stream{probe: p, to: name, every: every, labs: watchedLabs(from, to), changed: make(chan struct{}, 1)}
	binary.NativeEndian.PutUint64(s.id[:], rand.Uint64())
	for _, addr := range addrs {
		a, err := newAsking(ctx, from, to, name, addr, p)
		if err != nil {
			return nil, err
		}
		s.lanes = append(s.lanes, &lane{asking: a, at: s.deliveredAt(&a), prefix: binary.BigEndian.AppendUint32(s.id[:], uint32(len(s.lanes)))})
	}
	return s, nil
}

// deliveredAt are the nodes at which a packet has arrived: the target, or whoever has the
// address; none is any.
func (s *stream) deliveredAt(a *asking) []*harness.Node {
	if a.result.target != nil {
		return []*harness.Node{a.result.target}
	}
	return a.ownersOf(a.addr)
}

// run sends while f runs, and hears what arrives.
func (s *stream) run(ctx context.Context, f func() error) error {
	if err := s.listen(); err != nil {
		return err
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	begun := time.Now()
	s.sending.Go(func() { s.send(sending) })
	if err := s.await(ctx, s.sent(margin)); err != nil {
		return err
	}
	s.at[0] = time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("what was to change meanwhile: %w", err)
	}
	s.at[1] = time.Now()
	if err := s.await(ctx, s.sent(s.most()+margin)); err != nil {
		return err
	}
	stop()
	s.sending.Wait()
	late, end := context.WithTimeout(ctx, s.probe.bound())
	defer end()
	if err := s.await(late, s.isWhole); err != nil && ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.deafen()
	now := time.Now()
	return errors.Join(s.deaf(), clockSet(now.Sub(begun), now.Round(0).Sub(begun.Round(0))))
}

// send sends, until the context is over.
func (s *stream) send(ctx context.Context) {
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		for _, l := range s.lanes {
			packet, err := l.send()
			s.note(func() {
				if l.packets = append(l.packets, packet); err != nil {
					s.err = firstError(s.err, fmt.Errorf("send: %w", err))
				}
			})
			if err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note changes what is known, and tells who waits for it.
func (s *stream) note(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// await returns when something is so, which is looked at whenever more is known.
func (s *stream) await(ctx context.Context, is func() bool) error {
	for {
		s.mu.Lock()
		so, err := is(), s.err
		s.mu.Unlock()
		if so || err != nil {
			return err
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sent says whether so many packets were sent to each address.
func (s *stream) sent(many int) func() bool {
	return func() bool {
		return !slices.ContainsFunc(s.lanes, func(l *lane) bool { return len(l.packets) < many })
	}
}

// most is how many packets were sent to an address by now.
func (s *stream) most() (most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lanes {
		most = max(most, len(l.packets))
	}
	return most
}

// isWhole says whether all that was sent has arrived.
func (s *stream) isWhole() bool {
	return !slices.ContainsFunc(s.lanes, func(l *lane) bool { return l.flow().Lost > 0 })
}

func (s *stream) flows() []Flow {
	var flows []Flow
	for _, l := range s.lanes {
		f := l.flow()
		f.Begun, f.Ended = s.at[0], s.at[1]
		flows = append(flows, f)
	}
	return flows
}

// close ends what runs.
func (s *stream) close() {
	for _, end := range slices.Backward(s.done) {
		end()
	}
	s.sending.Wait()
	for _, l := range s.lanes {
		l.close()
	}
}

// clockSet is an error where the machine's clock, which the kernel's stamps are of, was set: by
// that clock it took another time than it did.
func clockSet(took, byClock time.Duration) error {
	if off := byClock - took; off.Abs() > time.Millisecond+took/1000 { // it may be slewed
		return fmt.Errorf("the machine's clock was set by %s meanwhile: ask again", off)
	}
	return nil
}
