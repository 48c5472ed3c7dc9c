package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

// source is what a probe is sent from, and with which options of its socket. Zero values
// are the kernel's choice.
type source struct {
	addr   netip.Addr // with a zone where it is link-local
	scope  uint32     // the zone's interface, once it is known who asks
	device string
	port   uint16
	ttl    option
	mark   uint32
	dscp   option
	uid    option

	fragmented bool      // see Fragmented
	extended   Extension // see Extended

	nothing string // the method that was given nothing; "" where none was
}

// parted says whether filters and traces see what is sent otherwise than one header after another:
// in fragments, or with extension headers.
func (s source) parted() bool { return s.fragmented || s.extended != 0 }

// option is a number that was chosen, or not.
type option struct {
	is bool
	n  int
}

// From sends the probe from an address of the asker's. A link-local one has a zone, as in
// fe80::1%lan. Targets are asked in the address's family only.
func (p Probe) From(addr netip.Addr) Probe {
	p.source.addr = addr.Unmap()
	return p.given("From", !addr.IsValid(), "the zero address")
}

// FromInterface binds the probe's socket to an interface of the asker's (SO_BINDTODEVICE,
// socket(7)).
func (p Probe) FromInterface(name string) Probe {
	p.source.device = name
	return p.given("FromInterface", name == "", `""`)
}

// given notes whether a method was given nothing: what it was for would not be asked about.
func (p Probe) given(method string, nothing bool, what string) Probe {
	call := fmt.Sprintf("%s(%s)", method, what)
	switch {
	case nothing:
		p.source.nothing = call
	case p.source.nothing == call: // it was said since
		p.source.nothing = ""
	}
	return p
}

// FromPort sends a probe that has ports from one, and not from one that no earlier probe had.
// Who tracks connections takes a second probe from one port to the same target for the
// first's connection, as long as it remembers that.
func (p Probe) FromPort(n uint16) Probe {
	p.source.port = n
	return p
}

// TTL sets the time to live, or hop limit, of what is sent: 1 to 255.
func (p Probe) TTL(n int) Probe {
	p.source.ttl = option{true, n}
	return p
}

// Mark sets the socket's mark (SO_MARK, socket(7)), which rules and policy routing of the
// asker's node may ask for; it does not leave the node.
func (p Probe) Mark(n uint32) Probe {
	p.source.mark = n
	return p
}

// DSCP sets the differentiated services codepoint of what is sent (RFC 2474): 0 to 63.
func (p Probe) DSCP(n int) Probe {
	p.source.dscp = option{true, n}
	return p
}

// UID sends the probe from a socket of a user's: rules (meta skuid, -m owner) and policy routing
// (uidrange) of the asker's node see that user. In a sandbox with one user there is only 0.
func (p Probe) UID(n int) Probe {
	p.source.uid = option{true, n}
	return p
}

// String is what was chosen, in words; "" for nothing.
func (s source) String() string {
	var words []string
	switch {
	case s.addr.IsValid() && s.port != 0:
		words = append(words, netip.AddrPortFrom(s.addr, s.port).String())
	case s.addr.IsValid():
		words = append(words, s.addr.String())
	case s.port != 0:
		words = append(words, fmt.Sprintf("port %d", s.port))
	}
	if s.device != "" {
		words = append(words, "bound to "+s.device)
	}
	if s.mark != 0 {
		words = append(words, fmt.Sprintf("mark %#x", s.mark))
	}
	for _, o := range []struct {
		name string
		option
	}{{"TTL", s.ttl}, {"DSCP", s.dscp}, {"user", s.uid}} {
		if o.is {
			words = append(words, fmt.Sprintf("%s %d", o.name, o.n))
		}
	}
	if s.fragmented {
		words = append(words, "in fragments")
	}
	if s.extended != 0 {
		words = append(words, "with "+s.extended.String())
	}
	return strings.Join(words, ", ")
}

// check says what is wrong with a source wherever it is asked from.
func (s source) check(ports bool) error {
	switch {
	case s.nothing != "":
		return fmt.Errorf("%s: it says nothing: name what is meant, or leave it out", s.nothing)
	case s.port != 0 && !ports:
		return fmt.Errorf("FromPort(%d): only TCP, UDP, UDP-Lite and SCTP have ports", s.port)
	case s.extended&^(HopByHop|DestinationOptions) != 0:
		return fmt.Errorf("Extended(%#x): it is HopByHop or DestinationOptions", uint8(s.extended))
	case s.ttl.is && (s.ttl.n < 1 || s.ttl.n > 255):
		return fmt.Errorf("TTL(%d): it is between 1 and 255", s.ttl.n)
	case s.dscp.is && (s.dscp.n < 0 || s.dscp.n > 63):
		return fmt.Errorf("DSCP(%d): it is between 0 and 63", s.dscp.n)
	case s.uid.is && s.uid.n < 0:
		return fmt.Errorf("UID(%d): users have numbers from 0 on", s.uid.n)
	}
	return nil
}

// checkAt says what is wrong with a probe that a node is to ask.
func (p Probe) checkAt(from *harness.Node) error {
	if err := p.check(); err != nil {
		return err
	}
	s := p.source
	if s.addr.IsValid() {
		if _, err := scopeOf(from, s.addr); err != nil {
			return fmt.Errorf("probe %s: From: %w", p, err)
		}
		live, err := liveAddrs(from)
		if err != nil {
			return err
		}
		has := func(l liveAddr) bool { return l.addr == s.addr.WithZone("") }
		local := slices.ContainsFunc(live, has) || s.addr.IsLoopback()
		if !local { // it may be one of a prefix that is all the node's
			if local, err = answersFor(from, s.addr.WithZone("")); err != nil {
				return err
			}
		}
		if !local {
			return fmt.Errorf("probe %s: From(%s): node %s does not have that address; it has %s", p, s.addr, from, addrsOf(live))
		}
	}
	if s.device == "" {
		return nil
	}
	return from.Do(func() error {
		if _, err := net.InterfaceByName(s.device); err == nil {
			return nil
		}
		links, err := net.Interfaces()
		var names []string
		for _, l := range links {
			names = append(names, l.Name)
		}
		return errors.Join(fmt.Errorf("probe %s: FromInterface(%q): node %s has no such interface; it has %s", p, s.device, from, strings.Join(names, ", ")), err)
	})
}

func addrsOf(live []liveAddr) string {
	var all []string
	for _, l := range live {
		if text := l.addr.String(); !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// speaks says whether the probe can be sent to an address: from one of the same family, and of IPv6 with
// its headers.
func (p Probe) speaks(to netip.Addr) bool {
	if p.source.extended != 0 && to.Is4() {
		return false
	}
	return !p.source.addr.IsValid() || p.source.addr.Is6() == to.Is6()
}

// addressesFor are those of a target that a node can ask with a probe. The error is what keeps it
// from asking at all.
func addressesFor(ctx context.Context, from *harness.Node, to Target, p Probe) (addrs []netip.Addr, name string, err error) {
	if err := asks(ctx, from); err != nil {
		return nil, "", err
	}
	if err := p.checkAt(from); err != nil {
		return nil, "", err
	}
	if addrs, name, err = addresses(from, to); err != nil {
		return nil, "", err
	}
	addrs, err = p.among(from, name, addrs)
	return addrs, name, err
}

// among are those of a target's addresses that a node can ask with the probe.
func (p Probe) among(from *harness.Node, name string, addrs []netip.Addr) ([]netip.Addr, error) {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool { return !p.speaks(a) })
	if len(addrs) == 0 && p.source.extended != 0 {
		return nil, fmt.Errorf("%s and %s have %w: %s are of IPv6", from, name, errNoFamily, p.source.extended)
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s and %s have %w: the probe is sent from %s", from, name, errNoFamily, p.source.addr)
	}
	return addrs, nil
}

// at is the probe at a pair of a check's; false where something else was chosen of it.
func (p Probe) at(pair pair) (Probe, bool) {
	s := &p.source
	if !p.speaks(pair.to) || pair.source.IsValid() && s.addr.IsValid() && s.addr.WithZone("") != pair.source.WithZone("") ||
		pair.device != "" && s.device != "" && s.device != pair.device {
		return p, false
	}
	if pair.source.IsValid() && !s.addr.IsValid() {
		s.addr = pair.source
	}
	if pair.device != "" {
		s.device = pair.device
	}
	return p, true
}

// fixed are the traits that were chosen for a probe: of these a check tries no others.
func (p Probe) fixed() rules.Trait {
	if p.kind != nil && p.kind.crafted { // which has the flags that were asked for
		return p.source.fixed() | rules.Congestion
	}
	return p.source.fixed()
}

// fixed are those that were chosen where it is sent from.
func (s source) fixed() (t rules.Trait) {
	for trait, is := range map[rules.Trait]bool{
		rules.SourcePort: s.port != 0, rules.TTL: s.ttl.is, rules.TOS: s.dscp.is, rules.User: s.uid.is,
		rules.Fragments: s.fragmented, rules.Headers: s.extended != 0,
	} {
		if is {
			t |= trait
		}
	}
	return t
}

// ask adds to a lookup what its answer may depend on.
func (s source) ask(q inspect.Question) inspect.Question {
	q.Mark, q.TOS, q.UID = s.mark, s.tos(), uint32(s.uid.n)
	return q
}

// tos is the byte that DSCP is in.
func (s source) tos() uint8 { return uint8(s.dscp.n << 2) }

// leads is what of a source the kernel's choice of a way may depend on.
func (s source) leads() source { return source{mark: s.mark, dscp: s.dscp, uid: s.uid} }
