package harness

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// openVSwitches are files of the lab's Open vSwitches: each with its flows and their counters,
// and what the daemons have said.
func (b *bundle) openVSwitches() (entries []entry) {
	for _, o := range b.lab.OpenVSwitches() {
		entries = append(entries, b.file("openvswitch/"+safePath(o.name)+".txt", "ovs-vsctl show, and the switch's flows with their counters, ports and MACs", o.write))
	}
	if len(entries) > 0 {
		entries = append(entries, b.file("openvswitch/daemons.log", "what ovsdb-server and ovs-vswitchd have said", b.lab.ovs().log))
	}
	return entries
}

// write writes the switch as it is.
func (o *OpenVSwitch) write(w io.Writer) error {
	var errs []error
	part := func(title, text string, err error) {
		if err != nil {
			errs, text = append(errs, err), err.Error()
		}
		_, err = fmt.Fprintf(w, "# %s\n%s\n\n", title, strings.TrimSpace(text))
		errs = append(errs, err)
	}
	text, err := o.Vsctl("show")
	part("ovs-vsctl show", text, err)
	for _, command := range []string{"dump-flows", "dump-groups", "show", "dump-ports"} {
		text, err = o.Ofctl(command)
		part("ovs-ofctl "+command+" "+o.bridge, text, err)
	}
	text, err = o.Appctl("fdb/show", o.bridge)
	part("ovs-appctl fdb/show "+o.bridge, text, err)
	return errors.Join(errs...)
}

// compareOVS says where the Open vSwitches of two labs of one plan differ: their flows and
// groups, and their ports' VLANs.
func (l *Lab) compareOVS(twin *Lab) (differences []error) {
	for _, o := range l.OpenVSwitches() {
		mine, err := o.lasting()
		if err != nil {
			return append(differences, err)
		}
		other, err := twin.openVSwitch(o.name)
		if err != nil {
			return append(differences, err)
		}
		its, err := other.lasting()
		if err != nil {
			return append(differences, err)
		}
		if text := mine.differs(its); text != "" {
			differences = append(differences, at(errors.New(text), "switch %s: changed by other means than the harness's", o.name))
		}
	}
	return differences
}

var flowCounters = regexp.MustCompile(`(duration|n_packets|n_bytes|idle_age|hard_age)=[^ ,]*,? ?`)

// lasting is what two switches of one making have in common.
func (o *OpenVSwitch) lasting() (shape, error) {
	made := shape{}
	for _, part := range []struct {
		title string
		read  func() (string, error)
	}{
		{"flows", func() (string, error) { return o.Ofctl("dump-flows") }},
		{"groups", func() (string, error) { return o.Ofctl("dump-groups") }},
		{"ports", func() (string, error) {
			return o.lab.ovs().run("ovs-vsctl", "--columns=name,tag,trunks,vlan_mode", "list", "port")
		}},
	} {
		text, err := part.read()
		if err != nil {
			return nil, at(err, "switch %s: %s", o.name, part.title)
		}
		for line := range strings.Lines(text) {
			if !strings.Contains(line, "xid=") {
				made[part.title] = append(made[part.title], strings.TrimSpace(flowCounters.ReplaceAllString(line, "")))
			}
		}
		slices.Sort(made[part.title])
	}
	return made, nil
}
