package watch

import (
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAFilterThatDropsWhateverComes(t *testing.T) {
	t.Parallel()
	attrs := netlink.FilterAttrs{Protocol: unix.ETH_P_ALL}
	drop := &netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_SHOT}}
	pass := &netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_OK}}
	for name, c := range map[string]struct {
		filter netlink.Filter
		want   bool
	}{
		"matchall":            {&netlink.MatchAll{FilterAttrs: attrs, Actions: []netlink.Action{drop}}, true},
		"that passes":         {&netlink.MatchAll{FilterAttrs: attrs, Actions: []netlink.Action{pass}}, false},
		"that polices":        {&netlink.MatchAll{FilterAttrs: attrs, Actions: []netlink.Action{netlink.NewPoliceAction()}}, false},
		"after another":       {&netlink.MatchAll{FilterAttrs: attrs, Actions: []netlink.Action{netlink.NewMirredAction(1), drop}}, false},
		"of ARP alone":        {&netlink.MatchAll{FilterAttrs: netlink.FilterAttrs{Protocol: unix.ETH_P_ARP}, Actions: []netlink.Action{drop}}, false},
		"that has conditions": {&netlink.Flower{FilterAttrs: attrs, Actions: []netlink.Action{drop}}, false},
		"a program":           {&netlink.BpfFilter{FilterAttrs: attrs, DirectAction: true}, false},
	} {
		if got := dropsAll(c.filter); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
