package probes

import (
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// witnesses are raw sockets at those that a survey asks, which get a copy of each echo
// request that is delivered there: a kernel answers, and signs nothing. Where a request
// was answered and not delivered, somebody else has answered.
type witnesses struct {
	all    []*witness
	rounds map[[nonceSize]byte]*round
	in     []byte
}

type witness struct {
	node *harness.Node
	v6   bool
	fd   int
}

// openWitnesses opens a socket at each node of the labs for each family that is asked in:
// also who is not asked may get a request, and answer it.
func openWitnesses(rounds []*round) (*witnesses, error) {
	w := &witnesses{rounds: map[[nonceSize]byte]*round{}, in: make([]byte, echoSeen)}
	var nodes []*harness.Node
	families := map[*harness.Lab][2]bool{}
	for _, r := range rounds {
		w.rounds[r.nonce] = r
		for _, t := range r.tasks {
			for _, lab := range t.labs {
				asked, known := families[lab]
				if lab == nil || known && asked[at(r.v6)] {
					continue
				}
				if !known {
					nodes = append(nodes, lab.Nodes()...)
				}
				asked[at(r.v6)] = true
				families[lab] = asked
			}
		}
	}
	err := harness.Visit(nodes, func(node *harness.Node) error {
		for i, asked := range families[node.Lab()] {
			if !asked {
				continue
			}
			v6 := i == at(true)
			request := echoRequest4
			if v6 {
				request = echoRequest6
			}
			fd, err := openICMP(v6, request, source{})
			if err == nil {
				err = deaf(fd, v6)
			}
			if err != nil {
				return fmt.Errorf("node %s: open ICMP socket: %w", node, err)
			}
			w.all = append(w.all, &witness{node, v6, fd})
		}
		return nil
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// deaf keeps errors from a socket, which would be those of all that its node sends. On an
// error it is closed.
func deaf(fd int, v6 bool) (err error) {
	if v6 {
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVERR, 0)
	} else {
		err = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVERR, 0)
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return err
}

// readPause is how often the sockets are read while requests come: the buffer of each
// holds some 200.
const readPause = 5 * time.Millisecond

// during reads while ask runs, and once more.
func (w *witnesses) during(ask func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ask()
	}()
	ticker := time.NewTicker(readPause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			w.read()
		case <-done:
			w.read()
			return
		}
	}
}

// read takes what was delivered.
func (w *witnesses) read() {
	for _, at := range w.all {
		for {
			n, _, err := syscall.Recvfrom(at.fd, w.in, unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				break
			}
			w.hear(at, w.in[:n])
		}
	}
}

func (w *witnesses) hear(at *witness, packet []byte) {
	if !at.v6 {
		var ok bool
		if packet, ok = withoutIPv4(packet); !ok {
			return
		}
	}
	if len(packet) < echoHeader+nonceSize {
		return
	}
	if r := w.rounds[[nonceSize]byte(packet[echoHeader:])]; r != nil {
		if t := r.asked(packet); t != nil && !slices.Contains(t.heard, at.node) {
			t.heard = append(t.heard, at.node)
		}
	}
}

// tell notes who has got the requests that were answered. Where several have, it is not
// known whose answer came.
func (w *witnesses) tell() {
	for _, r := range w.rounds {
		for _, t := range r.tasks {
			if t.result.Outcome == Answered && len(t.heard) == 1 {
				t.heldBy(t.heard[0])
				t.result.held = true
			}
		}
	}
}

func (w *witnesses) close() {
	for _, at := range w.all {
		_ = unix.Close(at.fd)
	}
}
