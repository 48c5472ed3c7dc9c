package probes

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// Extension is an extension header of IPv6 (RFC 8200, 4).
type Extension uint8

// The headers that a probe may have before its own.
const (
	HopByHop           Extension = 1 << iota // options that every router may look at
	DestinationOptions                       // options for the target
)

// extensionOptions are the socket options that send them (ipv6(7), RFC 3542).
var extensionOptions = []struct {
	header Extension
	name   string
	option int
}{
	{HopByHop, "hop-by-hop options", unix.IPV6_HOPOPTS},
	{DestinationOptions, "destination options", unix.IPV6_DSTOPTS},
}

// Extended sends a probe with extension headers of IPv6, whose options are padding: for filters that take a
// header for the protocol that they look for, or drop what has one. Targets are asked over IPv6 only.
//
//	Expect(client).To(probes.Reach(server, probes.UDP(53).Extended(probes.DestinationOptions)))
func (p Probe) Extended(headers ...Extension) Probe {
	p.source.extended = 0
	for _, h := range headers {
		p.source.extended |= h
	}
	return p.given("Extended", len(headers) == 0, "")
}

// checkExtended says what is wrong with a probe that is to have extension headers.
func (p Probe) checkExtended() error {
	if p.source.extended != 0 && p.kind.protocol == wire.SCTP {
		return fmt.Errorf("Extended(): what SCTP sends has no headers of IPv6 before its own: use ICMP, TCP, UDP, UDPLite or Segment")
	}
	return nil
}

// String is the headers in words.
func (e Extension) String() string {
	var words []string
	for _, o := range extensionOptions {
		if e&o.header != 0 {
			words = append(words, o.name)
		}
	}
	return strings.Join(words, " and ")
}

// set has a socket of IPv6 send the headers.
func (e Extension) set(fd int) error {
	header := string([]byte{0, 0, 1, 4, 0, 0, 0, 0}) // eight bytes, of which six are padding
	var errs []error
	for _, o := range extensionOptions {
		if e&o.header == 0 {
			continue
		}
		if err := unix.SetsockoptString(fd, unix.SOL_IPV6, o.option, header); err != nil {
			errs = append(errs, fmt.Errorf("Extended(): %s: %w", o.name, err))
		}
	}
	return errors.Join(errs...)
}
