package device

import "github.com/nstest/nstest/topo"

const vrfTable = 1 // IFLA_VRF_TABLE, linux/if_link.h

var vrf = &Kind{Name: "vrf", Data: func(a *Attributes, d *topo.DevicePlan) { a.U32(vrfTable, uint32(d.Table)) }}
