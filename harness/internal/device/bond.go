package device

import "github.com/nstest/nstest/topo"

const (
	bondMode   = 1 // IFLA_BOND_MODE, linux/if_link.h
	bondMIIMon = 3 // IFLA_BOND_MIIMON
	// pollEvery is how often a bond looks at its ports' carriers, in milliseconds. Without
	// it a bond never notices a port that is down; 100 is what handbooks have.
	pollEvery = 10
)

var bond = &Kind{Name: "bond", Idle: true, Speaks: true, Data: func(a *Attributes, d *topo.DevicePlan) {
	for mode := topo.BalanceRR; mode <= topo.BalanceALB; mode++ { // the kernel's numbers
		if mode.String() == d.Mode {
			a.U8(bondMode, uint8(mode))
		}
	}
	a.U32(bondMIIMon, pollEvery)
}}
