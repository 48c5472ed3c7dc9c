package device

import (
	"encoding/binary"

	"github.com/nstest/nstest/topo"
)

// Of linux/if_tunnel.h.
const (
	greIFlags = 2  // IFLA_GRE_IFLAGS
	greOFlags = 3  // IFLA_GRE_OFLAGS
	greIKey   = 4  // IFLA_GRE_IKEY
	greOKey   = 5  // IFLA_GRE_OKEY
	greLocal  = 6  // IFLA_GRE_LOCAL
	greRemote = 7  // IFLA_GRE_REMOTE
	gre6Flags = 13 // IFLA_GRE_FLAGS

	greHasKey = 0x2000 // GRE_KEY
	noLimit   = 1      // IP6_TNL_F_IGN_ENCAP_LIMIT: no option of 8 bytes (RFC 2473)
)

var (
	gre    = &Kind{Name: "gre", Quiet: true, Data: greData}
	ip6gre = &Kind{Name: "ip6gre", Quiet: true, Data: func(a *Attributes, d *topo.DevicePlan) {
		greData(a, d)
		a.U32(gre6Flags, noLimit)
	}}
)

func greData(a *Attributes, d *topo.DevicePlan) {
	a.Addr(greLocal, d.Local)
	for _, remote := range d.Remotes {
		a.Addr(greRemote, remote)
	}
	if d.ID == 0 {
		return
	}
	flags, key := binary.BigEndian.AppendUint16(nil, greHasKey), binary.BigEndian.AppendUint32(nil, uint32(d.ID))
	a.Bytes(greIFlags, flags)
	a.Bytes(greOFlags, flags)
	a.Bytes(greIKey, key)
	a.Bytes(greOKey, key)
}
