package harness

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
)

// OpenVSwitch is one of a lab: a segment of topo's OVS. It is a bridge of an
// ovs-vswitchd of the lab's own, which runs beside its nodes and ends with it. Its methods may
// be called from any goroutine.
//
// What Ofctl and Vsctl change a twin of the lab has as well. A switch's ports are called as
// the nodes are that have their other ends.
type OpenVSwitch struct {
	lab    *Lab
	name   string // of the segment
	bridge string
}

// OVS is the Open vSwitch of that segment. A wrong name fails the test and lists the right
// ones.
func (l *Lab) OVS(segment string) *OpenVSwitch {
	l = l.here()
	l.tb.Helper()
	o, err := l.openVSwitch(segment)
	if err != nil {
		l.tb.Fatalf("%v", err)
		return nil
	}
	return o
}

func (l *Lab) openVSwitch(segment string) (*OpenVSwitch, error) {
	var names []string
	for _, o := range l.OpenVSwitches() {
		if o.name == segment {
			return o, nil
		}
		names = append(names, o.name)
	}
	return nil, fmt.Errorf("lab %s has no Open vSwitch %q; it has: %s", l.Name(), segment, listOrNone(names))
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// OpenVSwitches are those of the lab, in order of declaration.
func (l *Lab) OpenVSwitches() (all []*OpenVSwitch) {
	l = l.here()
	if l.ovs() == nil {
		return nil
	}
	for _, s := range l.now().plan.Segments {
		if s.Kind == topo.KindOVS {
			all = append(all, l.switchIn(&s))
		}
	}
	return all
}

func (l *Lab) switchIn(s *topo.SegmentPlan) *OpenVSwitch {
	return &OpenVSwitch{lab: l, name: s.Name, bridge: s.Bridge}
}

// ovs are the daemons of the lab's Open vSwitches; nil without any.
func (l *Lab) ovs() *ovsDaemons {
	if s := l.now().site; s != nil {
		return s.ovs
	}
	return nil
}

// Ports are the switch's, in order of declaration: a node and its interface, whose other end
// the switch calls Outer.
func (o *OpenVSwitch) Ports() []topo.PortRef {
	o = o.here()
	segment, known := o.lab.now().plan.Segment(o.name)
	if !known {
		return nil
	}
	return slices.Clone(segment.Ports)
}

// Name is the segment's name, and Bridge the switch's as Open vSwitch has it.
func (o *OpenVSwitch) Name() string   { return o.here().name }
func (o *OpenVSwitch) Bridge() string { return o.here().bridge }

// Patched are the switches that patch ports join to it as declared (topo's Segment.Patch), itself included,
// in order of declaration.
func (o *OpenVSwitch) Patched() (all []*OpenVSwitch) {
	o = o.here()
	for _, s := range o.lab.now().plan.Patched(o.name) {
		all = append(all, o.lab.switchIn(s))
	}
	return all
}

// Datapath is what hands the frames on: "system" in the kernel; "netdev" in ovs-vswitchd; or
// "dummy", the same where there is no /dev/net/tun.
func (o *OpenVSwitch) Datapath() string {
	if daemons := o.here().lab.ovs(); daemons != nil {
		return daemons.datapath
	}
	return ""
}

// Ofctl runs ovs-ofctl(8) with a command about this switch, whose name it puts after the
// command, and returns what was printed:
//
//	lab.OVS("br-int").Ofctl("add-flow", "priority=10,icmp,actions=drop")
//	lab.OVS("br-int").Ofctl("dump-flows")
//
// When it returns, no frame is handed on by what was before. The error has what the program
// said.
func (o *OpenVSwitch) Ofctl(command string, args ...string) (string, error) {
	o, args = o.here(), slices.Clone(args)
	return o.change(!reads(command), func(o *OpenVSwitch) (string, error) {
		out, err := o.lab.ovs().run("ovs-ofctl", append([]string{"--names", command, o.bridge}, args...)...)
		if err == nil {
			err = o.settled()
		}
		return out, err
	})
}

// Vsctl runs ovs-vsctl(8) with these arguments, which name the switch themselves, and returns
// what was printed.
func (o *OpenVSwitch) Vsctl(args ...string) (string, error) {
	o, args = o.here(), slices.Clone(args)
	return o.change(!readsOnly(args), func(o *OpenVSwitch) (string, error) {
		out, err := o.lab.ovs().run("ovs-vsctl", append([]string{"--timeout=30"}, args...)...)
		if err == nil {
			err = o.settled()
		}
		return out, err
	})
}

// Appctl gives the lab's ovs-vswitchd a command with its arguments, as ovs-appctl(8) does, and
// returns what it said: Appctl("ofproto/trace", "br-int", "in_port=pc,icmp"). What it changes,
// a twin of the lab does not have.
func (o *OpenVSwitch) Appctl(command string, args ...string) (string, error) {
	o = o.here()
	out, err := o.lab.ovs().ask(command, args...)
	return out, at(err, "switch %s: ovs-appctl %s", o.name, command)
}

// reads says whether a command of ovs-ofctl or ovs-vsctl changes nothing.
func reads(command string) bool {
	return slices.ContainsFunc([]string{"dump", "show", "list", "get", "find", "ping", "probe", "query", "monitor", "iface-to", "port-to", "br-exists", "br-to"},
		func(prefix string) bool { return strings.HasPrefix(command, prefix) })
}

// readsOnly says whether arguments of ovs-vsctl are of one command that changes nothing, options before it.
func readsOnly(args []string) bool {
	if slices.Contains(args, "--") { // several commands
		return false
	}
	at := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	return at < 0 || reads(args[at])
}

// change does something to the switch, and notes it for a twin.
func (o *OpenVSwitch) change(changes bool, do func(*OpenVSwitch) (string, error)) (string, error) {
	out, err := do(o)
	if err != nil || !changes {
		return out, at(err, "switch %s", o.name)
	}
	o.lab.mu.Lock()
	defer o.lab.mu.Unlock()
	name := o.name
	o.lab.done = append(o.lab.done, deed{"switch " + name, func(twin *Lab) error {
		other, err := twin.openVSwitch(name)
		if err == nil {
			_, err = do(other)
		}
		return err
	}})
	return out, nil
}

// settled returns when the datapath hands on by the flows as they are: what it has
// remembered of them is thrown away.
func (o *OpenVSwitch) settled() error {
	_, err := o.lab.ovs().ask("revalidator/purge")
	return err
}

// setOVS changes what was chosen of a port of an Open vSwitch: its VLANs. Once a port has
// some, others that have none are in VLAN 1. The caller holds l.switching.
func (l *Lab) setOVS(segment *topo.SegmentPlan, which spot, change func(*topo.SwitchPort)) error {
	l.mu.Lock()
	chosen := l.switchPort(which)
	l.mu.Unlock()
	change(&chosen)
	if chosen.IsBridgeOnly() {
		return errors.New("it is an Open vSwitch's, which has VLANs alone: say the rest by its flows (OpenVSwitch.Ofctl)")
	}
	vlans := l.vlansWith(which, chosen)
	var args []string
	for _, ref := range segment.Ports {
		columns := []string{"tag=[]", "trunks=[]", "vlan_mode=[]"}
		if vlans != nil {
			columns = append(columns, vlans[spot{ref.Node, ref.Port}].columns()...)
		}
		args = append(append(args, "--", "set", "port", ref.Outer), columns...)
	}
	for _, patch := range segment.Patches {
		columns := []string{"tag=[]", "vlan_mode=[]"}
		if vlans != nil {
			columns = patchColumns
		}
		args = append(append(args, "--", "set", "port", patch.Name), columns...)
	}
	o := l.switchIn(segment)
	_, err := l.ovs().run("ovs-vsctl", append([]string{"--timeout=30"}, args...)...)
	if err == nil {
		err = o.settled()
	}
	if err == nil {
		l.noteSwitch(which, chosen)
	}
	return err
}

// refusedOVS says that an Open vSwitch, and its ports, stay what they are.
func (t *transition) refusedOVS() (errs []error) {
	flows := func(plan *topo.Plan) map[string]string {
		all := map[string]string{}
		for _, s := range plan.Segments {
			if s.Kind == topo.KindOVS {
				all[s.Name] = fmt.Sprint(s.Ports, s.Patches, s.Flows)
			}
		}
		return all
	}
	was, is := flows(t.old), flows(t.plan)
	for _, plan := range []*topo.Plan{t.old, t.plan} {
		for _, s := range plan.Segments {
			if was[s.Name] != is[s.Name] {
				errs = append(errs, fmt.Errorf("segment %s: an Open vSwitch and its ports are those that were declared before Up: change its flows by OpenVSwitch.Ofctl, and its ports' VLANs by Port.SetVLANs", s.Name))
				delete(was, s.Name)
				delete(is, s.Name)
			}
		}
	}
	return errs
}
