package inspect

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// nexthop is an object that routes refer to by a number (ip-nexthop(8)): one way, or a group of them.
type nexthop struct {
	hop   Hop
	group []member
}

type member struct {
	id     uint32
	weight int
}

// bare says whether a route has but the number of a nexthop object: a kernel whose nexthop_compat_mode
// is 0 does not write out what that leads to.
func (r *Route) bare() bool {
	return r.Type == unix.RTN_UNICAST && r.Index == 0 && !r.Via.IsValid() && len(r.Hops) == 0
}

// routeKey is what tells a route from every other one.
type routeKey struct {
	to                 netip.Prefix
	table, metric, tos int
}

func (r *Route) key() routeKey { return routeKey{r.To, r.Table, r.Metric, r.TOS} }

// resolve gives bare routes the ways of their nexthop objects.
func (c *conn) resolve(routes []Route) error {
	ids, err := c.nexthopsOf(routes)
	if err != nil || len(ids) == 0 {
		return err
	}
	objects, err := c.nexthops()
	if err != nil {
		return err
	}
	for i := range routes {
		r := &routes[i]
		id, is := ids[r.key()]
		if !is || !r.bare() {
			continue
		}
		object := objects[id]
		if len(object.group) == 0 {
			r.Via, r.Index, r.Flags = object.hop.Via, object.hop.Index, object.hop.Flags
			continue
		}
		for _, m := range object.group {
			hop := objects[m.id].hop
			hop.Weight = m.weight
			r.Hops = append(r.Hops, hop)
		}
	}
	return nil
}

// nexthopsOf are the numbers of the nexthop objects of routes.
func (c *conn) nexthopsOf(routes []Route) (map[routeKey]uint32, error) {
	families := map[byte]bool{}
	for _, r := range routes {
		if r.bare() {
			families[map[bool]byte{false: unix.AF_INET, true: unix.AF_INET6}[r.To.Addr().Is6()]] = true
		}
	}
	ids := map[routeKey]uint32{}
	for family := range families {
		header := make([]byte, unix.SizeofRtMsg)
		header[0] = family
		answers, err := c.ask(unix.RTM_GETROUTE, unix.NLM_F_DUMP, header, nil)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, answer := range answers {
			if key, id, ok := nexthopOf(answer); ok {
				ids[key] = id
			}
		}
	}
	return ids, nil
}

// nexthopOf reads a route's nexthop object: struct rtmsg, and attributes. It is false where the route
// has none.
func nexthopOf(data []byte) (key routeKey, id uint32, ok bool) {
	const nexthopID = 30 // RTA_NH_ID, linux/rtnetlink.h
	if len(data) < unix.SizeofRtMsg {
		return key, 0, false
	}
	attributes, err := netlink.NewAttributeDecoder(data[unix.SizeofRtMsg:])
	if err != nil {
		return key, 0, false
	}
	to := netip.IPv4Unspecified()
	if data[0] == unix.AF_INET6 {
		to = netip.IPv6Unspecified()
	}
	key.tos, key.table = int(data[3]), int(data[4])
	for attributes.Next() {
		switch attributes.Type() {
		case unix.RTA_DST:
			to = addrOf(attributes.Bytes())
		case unix.RTA_TABLE:
			key.table = int(attributes.Uint32())
		case unix.RTA_PRIORITY:
			key.metric = int(attributes.Uint32())
		case nexthopID:
			id = attributes.Uint32()
		}
	}
	key.to = netip.PrefixFrom(to, int(data[1]))
	return key, id, id != 0 && attributes.Err() == nil
}

// nexthops are the namespace's nexthop objects by their numbers.
func (c *conn) nexthops() (map[uint32]nexthop, error) {
	const header = 8 // struct nhmsg, linux/nexthop.h
	answers, err := c.ask(unix.RTM_GETNEXTHOP, unix.NLM_F_DUMP, make([]byte, header), nil)
	if err != nil {
		return nil, fmt.Errorf("list nexthop objects: %w", err)
	}
	objects := map[uint32]nexthop{}
	for _, data := range answers {
		if len(data) < header {
			continue
		}
		attributes, err := netlink.NewAttributeDecoder(data[header:])
		if err != nil {
			return nil, fmt.Errorf("read a nexthop object: %w", err)
		}
		id, object := uint32(0), nexthop{hop: Hop{Weight: 1, Flags: int(binary.NativeEndian.Uint32(data[4:]))}}
		for attributes.Next() {
			switch attributes.Type() {
			case unix.NHA_ID:
				id = attributes.Uint32()
			case unix.NHA_GROUP:
				object.group = membersOf(attributes.Bytes())
			case unix.NHA_OIF:
				object.hop.Index = int(attributes.Uint32())
			case unix.NHA_GATEWAY:
				object.hop.Via = addrOf(attributes.Bytes())
			}
		}
		objects[id] = object
	}
	return objects, nil
}

// membersOf reads those of a group: struct nexthop_grp each, whose weight is one less than meant, in
// two bytes.
func membersOf(raw []byte) (members []member) {
	const size = 8
	for ; len(raw) >= size; raw = raw[size:] {
		members = append(members, member{binary.NativeEndian.Uint32(raw), int(raw[4]) + int(raw[5])<<8 + 1})
	}
	return members
}
