package device

import (
	"slices"

	"github.com/nstest/nstest/topo"
)

const (
	bondMode   = 1 // IFLA_BOND_MODE, linux/if_link.h
	bondMIIMon = 3 // IFLA_BOND_MIIMON
	// pollEvery is how often a bond looks at its ports' carriers, in milliseconds. Without
	// it a bond never notices a port that is down; 100 is what handbooks have.
	pollEvery = 10
)

var bondModes = []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}

var bond = &Kind{Name: "bond", Idle: true, Speaks: true, Data: func(a *Attributes, d *topo.DevicePlan) {
	a.U8(bondMode, uint8(max(0, slices.Index(bondModes, d.Mode))))
	a.U32(bondMIIMon, pollEvery)
}}
