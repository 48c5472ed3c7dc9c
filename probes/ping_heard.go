package probes

import (
	"fmt"

	"github.com/nstest/nstest/harness"
)

// trainEar hears every echo reply that comes to a node while a train runs: also those that come twice, or
// after their request was given up.
type trainEar struct {
	ways   [2]trainWay // IPv4, IPv6
	places map[[nonceSize]byte]int
}

// trainWay is the answers of one family.
type trainWay struct {
	*echoes
	times map[int]int // how often the answer to a request came, by its place
	last  int         // the place of the latest request whose answer came
}

// openTrainEar opens its sockets in the node's namespace. A family that the node lacks has none.
func openTrainEar(node *harness.Node) (*trainEar, error) {
	e := &trainEar{places: map[[nonceSize]byte]int{}}
	err := node.Do(func() (err error) {
		for i := range e.ways {
			v6 := i == at(true)
			if e.ways[i].echoes, err = openRaw(v6, source{}); err != nil && !v6 {
				return fmt.Errorf("open ICMP socket: %w", err)
			}
			e.ways[i].times = map[int]int{}
		}
		return nil
	})
	if err != nil {
		e.close()
	}
	return e, err
}

func (e *trainEar) close() {
	for _, way := range e.ways {
		if way.echoes != nil {
			way.close()
		}
	}
}

// hear notes the requests of the train's next result, and what came by now.
func (e *trainEar) hear(s *Stats) {
	place := len(s.Results)
	for _, r := range append(s.Results[place-1].Each, s.Results[place-1]) {
		e.places[r.nonce] = place
	}
	for i := range e.ways {
		way := &e.ways[i]
		if way.echoes == nil {
			continue
		}
		for {
			packet, _, err := way.receive()
			if isQueued(err) {
				continue
			}
			if err != nil {
				break
			}
			if place, ours := e.place(way, packet); ours {
				way.count(place, s)
			}
		}
	}
}

// place is that of the request which a reply answers.
func (e *trainEar) place(way *trainWay, packet []byte) (place int, ours bool) {
	packet, ok := way.stripped(packet)
	if !ok || len(packet) < echoHeader+nonceSize {
		return 0, false
	}
	place, ours = e.places[[nonceSize]byte(packet[echoHeader:])]
	return place, ours
}

// count counts an answer.
func (w *trainWay) count(place int, s *Stats) {
	w.times[place]++
	switch {
	case w.times[place] > 1:
		s.Duplicates++
	case place < w.last:
		s.Reordered++
	}
	w.last = max(w.last, place)
}
