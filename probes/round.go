package probes

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// round is all echo requests of one node in one family: one socket, unconnected,
// the sequence number being the task's place.
type round struct {
	roundKey
	tasks  []*task
	echoes *echoes
	nonce  [nonceSize]byte
	left   int
}

type roundKey struct {
	from *harness.Node
	v6   bool
}

// askRounds makes the sockets on one thread and runs the rounds at once.
func askRounds(ctx context.Context, rounds []*round) error {
	byNode := map[*harness.Node][]*round{}
	var nodes []*harness.Node
	for _, r := range rounds {
		if byNode[r.from] == nil {
			nodes = append(nodes, r.from)
		}
		byNode[r.from] = append(byNode[r.from], r)
	}
	defer func() {
		for _, r := range rounds {
			if r.echoes != nil {
				r.echoes.close()
			}
		}
	}()
	err := harness.Visit(nodes, func(node *harness.Node) error {
		for _, r := range byNode[node] {
			var err error
			if r.echoes, err = openRaw(r.v6); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	errs := make([]error, len(rounds))
	var running sync.WaitGroup
	for i, r := range rounds {
		running.Go(func() { errs[i] = r.run(ctx) })
	}
	running.Wait()
	return firstError(errs...)
}

// run sends all requests, reading between them what has come: over veth pairs
// an answer is mostly there when sending returns. Then it waits for the rest.
func (r *round) run(ctx context.Context) error {
	r.nonce, r.left = newNonce(), len(r.tasks)
	var last time.Time
	for i, t := range r.tasks {
		if err := r.send(uint16(i), t); err != nil {
			return err
		}
		if t.deadline.After(last) {
			last = t.deadline
		}
		if err := r.read(); err != nil {
			return err
		}
	}
	var failure error
	_, err := r.echoes.wait(ctx, last, false, func() bool {
		failure = r.read()
		return failure != nil || r.left == 0
	})
	if failure != nil || err != nil {
		return firstError(failure, err)
	}
	for _, t := range r.tasks {
		if t.result.Outcome == 0 {
			if err := t.silence(); err != nil {
				return err
			}
			t.result.RTT = t.probe.bound()
		}
	}
	return nil
}

func (r *round) send(seq uint16, t *task) error {
	r.echoes.seq = seq - 1 // request counts up
	request := r.echoes.request(t.probe.payload(), r.nonce)
	if len(request)+60 > len(r.echoes.buf) {
		r.echoes.buf = make([]byte, len(request)+60)
	}
	t.begin()
	err := unix.Sendto(r.echoes.fd, request, 0, sockaddr(t.addr, 0))
	if err != nil && isQueued(err) {
		// Perhaps the error of an earlier request, fetched by this call.
		if failed := r.readErrors(); failed > 0 && t.result.Outcome == 0 {
			t.begin()
			err = unix.Sendto(r.echoes.fd, request, 0, sockaddr(t.addr, 0))
		}
	}
	if err == nil || t.result.Outcome != 0 {
		return nil
	}
	r.left--
	return t.refusedLocally(err)
}

// read takes what has come, answers and errors.
func (r *round) read() error {
	buf := r.echoes.buf
	for {
		n, from, err := unix.Recvfrom(r.echoes.fd, buf, unix.MSG_DONTWAIT)
		if err == nil {
			r.answer(buf[:n], from)
			continue
		}
		if r.readErrors() > 0 {
			continue
		}
		switch {
		case err == unix.EAGAIN:
			return nil
		case err != unix.EINTR && !isQueued(err):
			return err
		}
	}
}

// readErrors takes the error queue's entries and counts them.
func (r *round) readErrors() int {
	taken := 0
	for {
		q, ok := readQueue(r.echoes.fd)
		if !ok {
			return taken
		}
		taken++
		if len(q.packet) >= echoHeader {
			if t := r.task(q.packet); t != nil {
				t.failed(q)
				r.left--
			}
		}
	}
}

// answer notes a reply, when it is one to this round and from whom it should be.
func (r *round) answer(packet []byte, from unix.Sockaddr) {
	packet, ok := r.echoes.stripped(packet)
	if !ok {
		return
	}
	if len(packet) < echoHeader+nonceSize || !slices.Equal(packet[echoHeader:echoHeader+nonceSize], r.nonce[:]) {
		return
	}
	if t := r.task(packet); t != nil && t.addr == addrOf(from) {
		t.end(Answered, t.addr)
		r.left--
	}
}

// task is the one that an ICMP header belongs to, while it has no outcome.
func (r *round) task(header []byte) *task {
	seq := int(binary.BigEndian.Uint16(header[6:]))
	if binary.BigEndian.Uint16(header[4:]) != r.echoes.id || seq >= len(r.tasks) || r.tasks[seq].result.Outcome != 0 {
		return nil
	}
	return r.tasks[seq]
}

func addrOf(from unix.Sockaddr) netip.Addr {
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(from.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(from.Addr)
	}
	return netip.Addr{}
}
