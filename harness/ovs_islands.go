package harness

import (
	"regexp"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
)

// openVSwitches joins the ports of Open vSwitches: of one whose flows do nothing else than a
// switch does those that are in one VLAN, and of all others, which are of one process, all.
func (j *joints) openVSwitches() error {
	const all = -1
	now := j.lab.now()
	for i, o := range j.lab.OpenVSwitches() {
		vlans, err := o.keepsVLANs()
		if err != nil {
			return err
		}
		for _, ref := range o.Ports() {
			own := joint{ground: now.fabric, device: now.site.outer[spot{ref.Node, ref.Port}]}
			port := vlans[ref.Outer]
			if port == nil {
				j.join(own, joint{ground: now.fabric, device: all})
				continue
			}
			for _, id := range slices.Concat(port.Untagged, port.Tagged) {
				j.join(own, joint{now.fabric, all - 1 - i, id})
			}
		}
	}
	return nil
}

// keepsVLANs are the VLANs of the switch's ports where it keeps those apart whatever comes: no flow
// gives a frame to a port by itself, or another VLAN, nothing is mirrored, and each port has VLANs
// of its own; nil where it may join them.
func (o *OpenVSwitch) keepsVLANs() (map[string]*inspect.BridgeVLANs, error) {
	flows, err := o.Flows()
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(flows, func(f OVSFlow) bool { return !f.Missed && !staysInVLAN(f.Actions) }) {
		return nil, nil
	}
	mirrors, err := o.Vsctl("--columns=_uuid", "list", "mirror")
	if err != nil || strings.TrimSpace(mirrors) != "" {
		return nil, err
	}
	ports := o.Ports()
	names, err := o.Vsctl("list-ports", o.bridge)
	if err != nil || len(strings.Fields(names)) != len(ports) {
		return nil, err
	}
	vlans, err := o.lab.ovs().vlans()
	if err != nil || slices.ContainsFunc(ports, func(ref topo.PortRef) bool { return vlans[ref.Outer] == nil }) {
		return nil, err
	}
	return vlans, nil
}

// staysIn are the actions after which a frame is in the VLAN that it was in, and handed to nobody
// but by what a switch has heard of who is where (ovs-actions(7)). What is in parentheses is cut out.
var staysIn = regexp.MustCompile(`^(drop|NORMAL|resubmit\(\)|goto_table:\d+|ct\(\)|ct_clear|dec_ttl|mod_(dl|nw|tp)_(src|dst|tos|ecn|ttl):[^,]+|(load|move|set_field):[^,]*->(NXM_NX_(REG\d+|CT_MARK|CT_LABEL)\[[^\]]*\]|reg\d+|metadata))$`)

var (
	inner     = regexp.MustCompile(`\([^()]*\)`)
	resubmits = regexp.MustCompile(`resubmit\([^,)]`) // as if it had come by another port
)

// staysInVLAN says whether actions are of those alone.
func staysInVLAN(actions string) bool {
	if resubmits.MatchString(actions) {
		return false
	}
	for cut := ""; cut != actions; {
		cut, actions = actions, inner.ReplaceAllString(actions, "\x00")
	}
	actions = strings.ReplaceAll(actions, "\x00", "()")
	return !slices.ContainsFunc(strings.Split(actions, ","), func(action string) bool { return !staysIn.MatchString(action) })
}
