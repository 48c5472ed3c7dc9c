package topo

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// String is the plan as a table: segments, then nodes with their ports, their
// routes and what else they are given, then the notes.
func (p *Plan) String() string {
	p = p.here()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "network %s\n", p.Name)
	p.writeSegments(w)
	p.writePatches(w)
	p.writeFlows(w)
	p.writeNodes(w, "NODE\tKIND\tPORT\tMTU\tMAC\tADDRESSES", writePorts)
	p.writeNodes(w, "NODE\tROUTE\tVIA\tPORT", writeRoutes)
	p.writeNodes(w, "NODE\tRULE", func(w io.Writer, n *NodePlan) {
		for _, rule := range n.Rules {
			family := ""
			if rule.IPv6 {
				family = " (IPv6)"
			}
			fmt.Fprintf(w, "%s\t%s%s\n", n.Name, rule, family)
		}
	})
	p.writeNodes(w, "NODE\tSETTING", writeSettings)
	if len(p.Notes) > 0 {
		fmt.Fprintln(w)
	}
	for _, note := range p.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	_ = w.Flush()
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func (p *Plan) writeSegments(w io.Writer) {
	if len(p.Segments) > 0 {
		fmt.Fprintln(w, "\nSEGMENT\tKIND\tMTU\tPREFIXES\tNODES")
	}
	for i := range p.Segments {
		s := &p.Segments[i]
		var nodes []string
		for _, ref := range s.Ports[:min(len(s.Ports), maxListed)] {
			nodes = append(nodes, ref.Node)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Kind, effectiveMTU(s.MTU), list(s.Prefixes), orNone(andMore(nodes, len(s.Ports))))
	}
}

// writeNodes writes a section, with its head only if a node has anything in it.
func (p *Plan) writeNodes(w io.Writer, head string, write func(io.Writer, *NodePlan)) {
	var section strings.Builder
	for i := range p.Nodes {
		write(&section, &p.Nodes[i])
	}
	if section.Len() > 0 {
		fmt.Fprintf(w, "\n%s\n%s", head, section.String())
	}
}

func effectiveMTU(mtu int) int {
	if mtu == 0 {
		return 1500
	}
	return mtu
}

func list(prefixes []netip.Prefix) string {
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return orNone(strings.Join(texts, " "))
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// kind is what the table calls the node.
func (n *NodePlan) kind() string {
	switch {
	case n.Forward:
		return "router"
	case n.Router:
		return "router (does not forward)"
	}
	return "host"
}

func writePorts(w io.Writer, n *NodePlan) {
	kind := n.kind()
	for _, port := range n.Ports {
		name := port.Name
		if name != port.Segment {
			name += " (" + port.Segment + ")"
		}
		if chosen := port.Switch.String(); chosen != "" {
			name += " [" + chosen + "]"
		}
		if port.NoOffload {
			name += " [no offload]"
		}
		if !port.Sends.IsZero() {
			name += " [sends: " + port.Sends.String() + "]"
		}
		if !port.Receives.IsZero() {
			name += " [receives: " + port.Receives.String() + "]"
		}
		name += port.pairs()
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", n.Name, kind, name, effectiveMTU(port.MTU), macText(port.MAC), list(port.Addrs))
	}
	for _, device := range n.ownDevices() {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", n.Name, kind, device.title(n), effectiveMTU(device.MTU), macText(device.MAC), list(device.Addrs))
	}
	if len(n.Loopback) > 0 || len(n.Ports) == 0 {
		fmt.Fprintf(w, "%s\t%s\tlo\t-\t-\t%s\n", n.Name, kind, list(n.Loopback))
	}
}

// macText is a MAC, "-" for none.
func macText(mac [6]byte) string {
	if mac == [6]byte{} {
		return orNone("")
	}
	return net.HardwareAddr(mac[:]).String()
}

// title is the device's name, what it is, and of which interfaces.
func (d *DevicePlan) title(n *NodePlan) string {
	var ports []string
	for _, other := range n.Devices {
		if other.Master == d.Name {
			ports = append(ports, other.Name)
		}
	}
	title := d.Name + " (" + d.Kind
	if d.Mode != "" {
		title += " " + d.Mode
	}
	if d.Table != 0 {
		title += fmt.Sprintf(" table %d", d.Table)
	}
	if len(ports) > 0 {
		title += " of " + strings.Join(ports, ", ")
	}
	return title + ")"
}

func writeRoutes(w io.Writer, n *NodePlan) {
	for _, r := range n.Routes {
		to, via := r.To.String(), "-"
		if r.Via.IsValid() {
			via = r.Via.String()
		}
		if r.To.Bits() == 0 && (r.Via.IsValid() || len(r.Hops) > 0) {
			to = "default"
		}
		if r.Type != Unicast {
			to = r.Type.String() + " " + to
		}
		if r.Table != 0 {
			to += fmt.Sprintf(" table %d", r.Table)
		}
		if r.Metric != 0 {
			to += fmt.Sprintf(" metric %d", r.Metric)
		}
		if r.Source.IsValid() {
			to += " src " + r.Source.String()
		}
		if r.MTU != 0 {
			to += fmt.Sprintf(" mtu %s%d", map[bool]string{true: "lock "}[r.LockMTU], r.MTU)
		}
		for _, hop := range r.Hops {
			fmt.Fprintf(w, "%s\t%s weight %d\t%s\t%s\n", n.Name, to, hop.Weight, hop.Via, orNone(hop.Dev))
		}
		if len(r.Hops) == 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Name, to, via, orNone(r.Dev))
		}
	}
}

func writeSettings(w io.Writer, n *NodePlan) {
	for _, s := range n.Sysctls {
		fmt.Fprintf(w, "%s\tsysctl %s=%s\n", n.Name, s.Key, shownValue(s.Value))
	}
	for _, rules := range n.Rulesets {
		lines := strings.Split(strings.TrimSpace(rules.Text), "\n")
		if !rules.Auto {
			fmt.Fprintf(w, "%s\t%s, %s\n", n.Name, rules.Loader, plural(len(lines), "line"))
			continue
		}
		for _, line := range lines {
			fmt.Fprintf(w, "%s\t%s: %s\n", n.Name, rules.Loader, strings.ReplaceAll(line, "\t", "    "))
		}
	}
}

// shownValue is a sysctl's value, quoted where it would break the table.
func shownValue(value string) string {
	if strings.ContainsAny(value, "\t\r\n\v\f") {
		return fmt.Sprintf("%q", value)
	}
	return value
}
