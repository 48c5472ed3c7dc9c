// Package device knows how each kind of interface is made: one file a kind, a row of
// which says what the kernel is told of it (IFLA_INFO_DATA).
package device

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Kind is all that is known of making a kind of interface.
type Kind struct {
	Name string // the kernel's word, and the plan's
	// Data are the attributes of an interface, nil for none; the addresses are those
	// which it has in the plan.
	Data func(a *Attributes, d *topo.DevicePlan)
	// Stacked says that it is made on its parent (IFLA_LINK).
	Stacked bool
	// Flood says that it sends what is for all to each of its remotes.
	Flood bool
	// Quiet says that nobody asks for neighbours on it: it has no MAC, or takes nobody's word.
	Quiet bool
	// Shares says that it has its parent's MAC, and a link-local address that is not that MAC's.
	Shares bool
	// Idle says that an interface must be down to become a port of it.
	Idle bool
	// Speaks says that what its ports receive is the interface's: they have no address.
	Speaks bool
	// Opens is the mode in which /dev/net/tun makes it; 0 for what a message makes.
	Opens uint16
	// Generic is what the kernel is told besides once it is there; nil for nothing.
	Generic *Generic
}

// Generic is a command of a family of generic netlink.
type Generic struct {
	Family           string
	Version, Command uint8
	// Set are the requests that make an interface what a plan has, of one that was nil,
	// or otherwise.
	Set func(was, d *topo.DevicePlan) []Attributes
	// Greet are those that have one which went up again speak to the others, who may have
	// asked in vain and wait before they do so again.
	Greet func(d *topo.DevicePlan) []Attributes
}

// kinds are the rows.
var kinds = []*Kind{bridge, bond, vrf, dummy, vlan, vxlan, geneve, gre, ip6gre, ipip, sit, macvlan, ipvlan, wireguard, tun, tap}

// Of is the row of a kind.
func Of(name string) (*Kind, error) {
	at := slices.IndexFunc(kinds, func(k *Kind) bool { return k.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("the harness makes no interface of kind %q", name)
	}
	return kinds[at], nil
}

// Attributes are netlink's (struct nlattr, netlink(7)), one after another.
type Attributes []byte

// Bytes adds one.
func (a *Attributes) Bytes(kind uint16, value []byte) {
	*a = binary.NativeEndian.AppendUint16(*a, uint16(4+len(value)))
	*a = binary.NativeEndian.AppendUint16(*a, kind)
	*a = append(*a, value...)
	for len(*a)%4 != 0 {
		*a = append(*a, 0)
	}
}

// Nested adds one that is a list of others. In a list without kinds that is 0.
func (a *Attributes) Nested(kind uint16, list Attributes) { a.Bytes(kind|unix.NLA_F_NESTED, list) }

// U16 adds a number of two bytes.
func (a *Attributes) U16(kind uint16, value uint16) {
	a.Bytes(kind, binary.NativeEndian.AppendUint16(nil, value))
}

// U8 adds a number of one byte.
func (a *Attributes) U8(kind uint16, value uint8) { a.Bytes(kind, []byte{value}) }

// U32 adds a number of four bytes.
func (a *Attributes) U32(kind uint16, value uint32) {
	a.Bytes(kind, binary.NativeEndian.AppendUint32(nil, value))
}

// Addr adds an address.
func (a *Attributes) Addr(kind uint16, value netip.Addr) { a.Bytes(kind, value.AsSlice()) }
