package topo

import (
	"fmt"
	"strings"
)

// maxInterface is IFNAMSIZ less its zero byte (linux/if.h).
const maxInterface = 15

// namer gives interfaces their names in one namespace.
type namer struct {
	taken map[string]bool
	next  map[string]int // the number to try next, by base: no search from 2 each time
}

// reservedNames are those that an interface cannot have: the loopback's, those that mean all
// interfaces below /proc/sys/net, and those of the tunnels without an end that a kernel puts
// into every new namespace once it has their modules (net.core.fb_tunnels_only_for_init_net).
var reservedNames = []string{
	"lo", "all", "default",
	"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
}

// newNamer knows the names that an interface cannot have.
func newNamer() *namer {
	n := &namer{taken: make(map[string]bool, len(reservedNames)), next: map[string]int{}}
	for _, name := range reservedNames {
		n.taken[name] = true
	}
	return n
}

// name is the interface's name for a segment or node: the last part of the
// name, cut to fit, with -2, -3 and so on when that is taken.
func (n *namer) name(of string) string {
	base := interfaceName(of)
	if !n.taken[base] {
		n.taken[base] = true
		return base
	}
	for i := max(n.next[base], 2); ; i++ {
		suffix := fmt.Sprintf("-%d", i)
		name := base[:min(len(base), maxInterface-len(suffix))] + suffix
		if !n.taken[name] {
			n.taken[name] = true
			n.next[base] = i + 1
			return name
		}
	}
}

// keep is the name that was held, or a new one.
func (n *namer) keep(was *held, of string) string {
	if was != nil {
		return was.name
	}
	return n.name(of)
}

// interfaceName makes of a name what the kernel takes (dev_valid_name): no
// slash, colon or white space, not "." or "..", 15 bytes. Other bytes than those
// of plain names become "_", so that every tool can print them.
func interfaceName(of string) string {
	base := of[strings.LastIndexByte(of, '/')+1:]
	base = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, base)
	base = base[:min(len(base), maxInterface)]
	if strings.Trim(base, ".") == "" {
		return "port"
	}
	return base
}

// nameProblem is what the kernel has against an interface's name (dev_valid_name), or
// whoever reads it below /proc/sys/net; "" for nothing.
func nameProblem(name string) string {
	switch {
	case name == "":
		return "the interface has no name: give it one"
	case len(name) > maxInterface:
		return "the interface's name is too long: the kernel takes 15 bytes"
	case name == "." || name == ".." || strings.ContainsAny(name, "/:% \t\n\v\f\r\x00") || shown(name) != name:
		return "the kernel takes no such name for an interface: leave out slashes, colons, percent signs and white space"
	case newNamer().taken[name]:
		return "the name means another interface, or all of them: choose another"
	}
	return ""
}
