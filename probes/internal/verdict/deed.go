package verdict

import (
	"net/netip"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
)

// Deed is what somebody who may change a node does to take a policy away: one of the
// types below.
type Deed interface{ deed() }

// DeleteRule deletes a rule; AcceptPolicy lets a chain accept what no rule decides
// about.
type (
	DeleteRule   struct{ Rule *evidence.Rule }
	AcceptPolicy struct{ Rule *evidence.Rule }
)

// SetSysctl sets a parameter, whose key is as in evidence.Cause.
type SetSysctl struct{ Key, Value string }

// DeleteRoute deletes a route; GiveRoute gives the node the way that the plan's links
// have to an address.
type (
	DeleteRoute struct{ Route *inspect.Route }
	GiveRoute   struct{ To netip.Addr }
)

// DeletePolicyRule deletes a policy routing rule.
type DeletePolicyRule struct{ Rule *inspect.PolicyRule }

// Unisolate lets a bridge's port talk to isolated ones: an interface's, or the end that a
// switch has of it. Unlock and Flood have a switch take everybody's frames from it, and send
// it those to MACs that it has no entry for.
type (
	Unisolate struct {
		Interface string
		Switch    bool
	}
	Unlock struct{ Interface string }
	Flood  struct{ Interface string }
)

// JoinVLAN puts the port of a switch, or of the node's own bridge, into a VLAN as well: for
// frames with its tag, or for those without one. No VLAN does where it is 0.
type JoinVLAN struct {
	Interface string
	VLAN      int
	Tagged    bool
	Switch    bool
}

// DeleteFlow deletes a flow of an Open vSwitch; where none was for the packet, it adds one to the
// table that hands all on as a switch does.
type DeleteFlow struct {
	Switch string
	Flow   *evidence.Flow
}

func (DeleteFlow) deed()   {}
func (DeleteRule) deed()   {}
func (AcceptPolicy) deed() {}
func (SetSysctl) deed()    {}
func (DeleteRoute) deed()  {}
func (GiveRoute) deed()    {}
func (Unisolate) deed()    {}
func (Unlock) deed()       {}
func (Flood) deed()        {}
func (JoinVLAN) deed()     {}

func (DeletePolicyRule) deed() {}
