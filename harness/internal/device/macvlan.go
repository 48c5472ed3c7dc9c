package device

import "github.com/nstest/nstest/topo"

const (
	macvlanMode   = 1 // IFLA_MACVLAN_MODE, linux/if_link.h
	macvlanBridge = 4 // MACVLAN_MODE_BRIDGE
)

var macvlan = &Kind{Name: "macvlan", Stacked: true, Data: func(a *Attributes, _ *topo.DevicePlan) { a.U32(macvlanMode, macvlanBridge) }}
