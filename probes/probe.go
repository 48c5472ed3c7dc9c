package probes

import (
	"fmt"
	"time"

	"github.com/nstest/nstest/probes/internal/wire"
)

// Probe is a question to be asked: a value, which methods return changed copies of.
type Probe struct {
	kind   *kind
	port   uint16
	upper  uint8    // the protocol's number, of Protocol
	flags  TCPFlags // of Segment
	within time.Duration
	size   int
	source source
	words  *words // nil for none
}

const (
	// DefaultWithin is how long a probe waits for an answer unless it says.
	DefaultWithin = time.Second
	// defaultSize is the payload of ping(8).
	defaultSize = 56
	// maxSize is the largest payload of an IPv4 datagram: 65,535 less the IP and
	// the ICMP or UDP header (RFC 791, RFC 768).
	maxSize = 65535 - 20 - 8
)

// Within bounds the wait for an answer. Zero is DefaultWithin, one second; less is an error
// of who asks.
func (p Probe) Within(d time.Duration) Probe {
	p.within = d
	return p
}

// Size sets the payload of an ICMP, UDP or UDP-Lite probe in bytes: 24 to 65,507, and 56
// without it. Packets are not fragmented, unless Fragmented says so: one that is too large comes
// back as Unsent, or is rejected on its way.
func (p Probe) Size(bytes int) Probe {
	p.size = bytes
	return p
}

// String is the probe as matrices and messages have it: icmp, tcp/22, udp/53, udplite/53.
func (p Probe) String() string {
	switch {
	case p.kind == nil:
		return "no probe"
	case p.kind.crafted:
		return fmt.Sprintf("%s/%d %s", p.kind.name, p.port, p.flags)
	case p.kind.ports:
		return fmt.Sprintf("%s/%d", p.kind.name, p.port)
	case p.upper != 0 && p.port != 0:
		return fmt.Sprintf("%s %d/%d", p.kind.name, p.upper, p.port)
	case p.upper != 0:
		return fmt.Sprintf("%s %d", p.kind.name, p.upper)
	}
	return p.kind.name
}

// like says whether two probes ask the same, but for how long and how much.
func (p Probe) like(other Probe) bool { return p.covers(other) && other.covers(p) }

// covers says whether another probe is one of those that are meant: where no source was
// chosen, it may have any.
func (p Probe) covers(other Probe) bool {
	return p.kind == other.kind && p.port == other.port && p.upper == other.upper && p.flags == other.flags &&
		(p.source == (source{}) || p.source == other.source) &&
		(p.words == nil || p.words.String() == other.words.String())
}

// bound is how long to wait.
func (p Probe) bound() time.Duration {
	if p.within == 0 {
		return DefaultWithin
	}
	return p.within
}

// payload is the size to send.
func (p Probe) payload() int {
	if p.size == 0 {
		return defaultSize
	}
	return p.size
}

// check says what is wrong with a probe.
func (p Probe) check() error {
	switch {
	case p.kind == nil:
		return fmt.Errorf("the zero Probe asks nothing: use ICMP, TCP, UDP or UDPLite")
	case p.within < 0:
		return fmt.Errorf("probe %s: Within(%s): a wait is longer than nothing; leave Within out for %s", p, p.within, DefaultWithin)
	case p.size != 0 && (p.size < requestSize || p.size > maxSize):
		return fmt.Errorf("probe %s: a payload of %d bytes: it is between %d and %d", p, p.size, requestSize, maxSize)
	case p.kind.protocol == wire.Other && !isPlain(p.upper):
		return fmt.Errorf("protocol %d is not asked by Protocol: it is for those besides ICMP, TCP and UDP", p.upper)
	case p.kind.ports && p.port == 0:
		return fmt.Errorf("probe %s: there is no port 0", p)
	}
	if err := p.source.check(p.kind.ports); err != nil {
		return fmt.Errorf("probe %s: %w", p, err)
	}
	if err := p.checkFragmented(); err != nil {
		return fmt.Errorf("probe %s: %w", p, err)
	}
	if err := p.checkExtended(); err != nil {
		return fmt.Errorf("probe %s: %w", p, err)
	}
	if err := p.checkWords(); err != nil {
		return fmt.Errorf("probe %s: %w", p, err)
	}
	return nil
}
