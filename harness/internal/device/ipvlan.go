package device

import "github.com/nstest/nstest/topo"

const (
	ipvlanMode = 1 // IFLA_IPVLAN_MODE, linux/if_link.h
	ipvlanL2   = 0 // IPVLAN_MODE_L2
)

var ipvlan = &Kind{Name: "ipvlan", Stacked: true, Shares: true, Data: func(a *Attributes, _ *topo.DevicePlan) {
	a.U16(ipvlanMode, ipvlanL2)
}}
