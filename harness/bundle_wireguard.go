package harness

import (
	"fmt"
	"io"
	"time"

	"github.com/nstest/nstest/harness/inspect"
)

// wireguard writes interfaces of that kind with their peers, and how they fare; no private key
// is read.
func (s *state) wireguard(w io.Writer) error {
	return s.eachWireGuard(func(l inspect.Link, of inspect.WireGuard) {
		fmt.Fprintf(w, "%s: %s\n", l.Name, of)
		for _, peer := range of.Peers {
			handshake := "never"
			if !peer.Handshake.IsZero() {
				handshake = time.Since(peer.Handshake).Round(time.Second).String() + " ago"
			}
			fmt.Fprintf(w, "    %s\n        endpoint %s; latest handshake %s; received %d bytes, sent %d bytes\n", peer, peer.Endpoint, handshake, peer.Received, peer.Sent)
		}
	})
}

// lastingWireGuard writes what two of the same making have in common.
func (s *state) lastingWireGuard(w io.Writer) error {
	return s.eachWireGuard(func(l inspect.Link, of inspect.WireGuard) {
		fmt.Fprintf(w, "%s: %s\n", l.Name, of)
		for _, peer := range of.Peers {
			fmt.Fprintf(w, "%s: %s\n", l.Name, peer)
		}
	})
}

func (s *state) eachWireGuard(f func(inspect.Link, inspect.WireGuard)) error {
	links, _, err := s.linksAndAddrs()
	if err != nil {
		return err
	}
	all, err := s.in.WireGuards(links)
	for _, of := range all {
		for _, l := range links {
			if l.Index == of.Index {
				f(l, of)
			}
		}
	}
	return err
}
