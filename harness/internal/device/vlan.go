package device

import "github.com/nstest/nstest/topo"

const vlanID = 1 // IFLA_VLAN_ID, linux/if_link.h

var vlan = &Kind{Name: "vlan", Stacked: true, Data: func(a *Attributes, d *topo.DevicePlan) {
	a.U16(vlanID, uint16(d.ID))
}}
