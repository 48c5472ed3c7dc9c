package device

import (
	"encoding/binary"

	"github.com/nstest/nstest/topo"
)

const vlanID = 1 // IFLA_VLAN_ID, linux/if_link.h

var vlan = &Kind{Name: "vlan", Stacked: true, Data: func(a *Attributes, d *topo.DevicePlan) {
	a.Bytes(vlanID, binary.NativeEndian.AppendUint16(nil, uint16(d.ID)))
}}
