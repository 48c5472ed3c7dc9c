package probes

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// round is echo requests of one node in one family over one socket, unconnected,
// the sequence number being the task's place. Its id is fresh; of several requests to
// one address each has its own, and so has each under watch.
type round struct {
	roundKey
	tasks  []*task
	held   int // bytes that the packets of tasks take in the socket's buffers
	echoes *echoes
	turns  map[netip.Addr]int // how many tasks ask an address
	most   int                // how many ids that takes
	ids    []uint16           // the first for the first task of each address, and so on
	nonce  [nonceSize]byte    // of the tasks that are not watched
	unsent int                // tasks that were not asked yet
	left   int                // tasks that have no outcome yet
	// Those that wait by themselves, once any does: a channel is closed when its task has
	// an outcome.
	waiting map[*task]chan struct{}
}

// isOpen says whether a task has no outcome yet.
func (r *round) isOpen(t *task) bool {
	if r.waiting == nil {
		return t.result.Outcome == 0
	}
	return r.waiting[t] != nil
}

// ended notes that a task has an outcome.
func (r *round) ended(t *task) {
	r.left--
	if heard := r.waiting[t]; heard != nil {
		delete(r.waiting, t)
		close(heard)
	}
}

// nonceOf is what a task's packets carry.
func (r *round) nonceOf(t *task) [nonceSize]byte {
	if t.watched == nil {
		return r.nonce
	}
	return t.nonce()
}

type roundKey struct {
	from *harness.Node
	v6   bool
}

// roundBuffer is what a raw socket holds in either direction, in bytes: twice its
// SO_SNDBUF, by default (raw(7) says nothing of it; then it is ENOBUFS), and the
// SO_RCVBUF that net.core.rmem_max allows, by default.
const roundBuffer = 2 * 212992

// takes is what the kernel counts for an echo of a task, at most: the room of
// the packet, which is a power of two, and its own notes on it.
func (t *task) takes() int { return 1024 + 2*t.probe.payload() }

// rounds splits tasks so that no buffer overflows, were all requests to wait for
// their neighbours, or all answers to be read. It is also far from 65,536, where
// sequence numbers begin again.
func rounds(tasks []*task) []*round {
	var all []*round
	last := map[roundKey]*round{}
	for _, t := range tasks {
		key := roundKey{t.from, t.addr.Is6()}
		r := last[key]
		if r == nil || r.held+t.takes() > roundBuffer {
			r = &round{roundKey: key, turns: map[netip.Addr]int{}, nonce: newNonce()}
			last[key] = r
			all = append(all, r)
		}
		r.tasks = append(r.tasks, t)
		r.held += t.takes()
		t.turn = r.turns[t.addr]
		if t.watched != nil { // two addresses may be translated into one
			t.turn = len(r.tasks) - 1
		}
		r.turns[t.addr]++
		r.most = max(r.most, t.turn+1)
	}
	return all
}

// open makes the socket in the calling thread's namespace.
func (r *round) open() error {
	var err error
	if r.echoes, err = openRaw(r.v6, source{}); err != nil {
		return err
	}
	if r.ids, err = takeIDs(r.from, r.v6, r.most); err != nil {
		return err
	}
	if r.held <= roundBuffer/2 {
		return nil // the default is enough
	}
	if err := unix.SetsockoptInt(r.echoes.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, roundBuffer/2); err != nil { // it grants twice that
		return err
	}
	got, err := unix.GetsockoptInt(r.echoes.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err == nil && got < roundBuffer {
		err = fmt.Errorf("its buffer has %d bytes, and %d are needed: raise sysctl net.core.rmem_max to %d", got, roundBuffer, roundBuffer/2)
	}
	return err
}

// openRounds makes the sockets on one thread. They are to be closed also after an error.
func openRounds(rounds []*round) error {
	byNode := map[*harness.Node][]*round{}
	var nodes []*harness.Node
	for _, r := range rounds {
		if byNode[r.from] == nil {
			nodes = append(nodes, r.from)
		}
		byNode[r.from] = append(byNode[r.from], r)
	}
	return harness.Visit(nodes, func(node *harness.Node) error {
		for _, r := range byNode[node] {
			if err := r.open(); err != nil {
				return fmt.Errorf("node %s: open ICMP socket: %w", node, err)
			}
		}
		return nil
	})
}

func closeRounds(rounds []*round) {
	for _, r := range rounds {
		if r.echoes != nil {
			r.echoes.close()
		}
	}
}

// askRounds runs the rounds at once.
func askRounds(ctx context.Context, rounds []*round) error {
	defer closeRounds(rounds)
	if err := openRounds(rounds); err != nil {
		return err
	}
	witnesses, err := openWitnesses(rounds)
	if err != nil {
		return err
	}
	defer witnesses.close()
	errs := make([]error, len(rounds))
	witnesses.during(func() {
		var running sync.WaitGroup
		for i, r := range rounds {
			running.Go(func() { errs[i] = r.run(ctx) })
		}
		running.Wait()
	})
	witnesses.tell()
	return firstError(errs...)
}

// run sends all requests, reading between them what has come: over veth pairs
// an answer is mostly there when sending returns. Then it waits for the rest.
func (r *round) run(ctx context.Context) error {
	r.unsent, r.left = len(r.tasks), len(r.tasks)
	var last time.Time
	for i, t := range r.tasks {
		if err := r.send(uint16(i), t); err != nil {
			return t.failure(err)
		}
		if t.deadline.After(last) {
			last = t.deadline
		}
		if err := r.read(); err != nil {
			return fmt.Errorf("node %s: read ICMP socket: %w", r.from, err)
		}
	}
	var failure error
	_, err := r.echoes.wait(ctx, last, false, func() bool {
		failure = r.read()
		return failure != nil || r.left == 0
	})
	if failure != nil || err != nil {
		return fmt.Errorf("node %s: read ICMP socket: %w", r.from, firstError(failure, err))
	}
	for _, t := range r.tasks {
		if t.result.Outcome == 0 {
			if err := t.silence(); err != nil {
				return t.failure(err)
			}
			t.result.RTT = t.probe.bound()
		}
	}
	return nil
}

func (r *round) send(seq uint16, t *task) error {
	r.unsent--
	r.echoes.id, r.echoes.seq = r.ids[t.turn], seq-1 // request counts up
	request := r.echoes.request(t.probe.payload(), r.nonceOf(t))
	t.begin()
	err := r.echoes.send(request, t.sockaddr(), r.readErrors)
	if err == nil || t.result.Outcome != 0 {
		return nil
	}
	r.left--
	return t.refusedLocally(err)
}

// read takes what has come, answers and errors, while anything is to come.
func (r *round) read() error {
	for r.left > r.unsent {
		packet, from, err := r.echoes.receive()
		switch {
		case err == nil:
			r.answer(packet, from)
		case err == unix.EAGAIN:
			return nil
		case isQueued(err):
			r.readErrors()
		case err != unix.EINTR:
			return err
		}
	}
	return nil
}

// readErrors empties the error queue, and says whether an ICMP error was in it.
func (r *round) readErrors() (heard bool) {
	for {
		q, ok := readQueue(r.echoes.fd)
		if !ok {
			return heard
		}
		heard = heard || q.origin != unix.SO_EE_ORIGIN_LOCAL
		if !q.fatal() || len(q.packet) < echoHeader {
			continue
		}
		if t := r.task(q.packet); t != nil && quotes(q.packet, r.nonceOf(t)) {
			t.failed(q)
			r.ended(t)
		}
	}
}

// answer notes a reply, when it is one to this round and from whom it should be.
func (r *round) answer(packet []byte, from netip.Addr) {
	packet, ok := r.echoes.stripped(packet)
	if !ok {
		return
	}
	if len(packet) < echoHeader+nonceSize {
		return
	}
	t := r.task(packet)
	if t != nil && t.addr == from && r.nonceOf(t) == [nonceSize]byte(packet[echoHeader:]) {
		t.end(Answered, t.addr)
		r.ended(t)
	}
}

// asked is the task that an ICMP header belongs to; nil when it is none's.
func (r *round) asked(header []byte) *task {
	seq := int(binary.BigEndian.Uint16(header[6:]))
	if seq >= len(r.tasks) {
		return nil
	}
	if t := r.tasks[seq]; binary.BigEndian.Uint16(header[4:]) == r.ids[t.turn] {
		return t
	}
	return nil
}

// task is the one that an ICMP header belongs to, while it has no outcome.
func (r *round) task(header []byte) *task {
	if t := r.asked(header); t != nil && r.isOpen(t) {
		return t
	}
	return nil
}
