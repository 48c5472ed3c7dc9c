package device

import (
	"encoding/binary"

	"github.com/nstest/nstest/topo"
)

// Of linux/if_link.h.
const (
	vxlanID     = 1  // IFLA_VXLAN_ID
	vxlanLocal  = 4  // IFLA_VXLAN_LOCAL
	vxlanPort   = 15 // IFLA_VXLAN_PORT
	vxlanLocal6 = 17 // IFLA_VXLAN_LOCAL6

	vxlanUDP = 4789 // RFC 7348; without it the kernel takes 8472
)

var vxlan = &Kind{Name: "vxlan", Flood: true, Data: func(a *Attributes, d *topo.DevicePlan) {
	a.U32(vxlanID, uint32(d.ID))
	if d.Local.Is4() {
		a.Addr(vxlanLocal, d.Local)
	} else {
		a.Addr(vxlanLocal6, d.Local)
	}
	a.Bytes(vxlanPort, binary.BigEndian.AppendUint16(nil, vxlanUDP))
}}
