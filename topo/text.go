package topo

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"
)

// String is the plan as a table: segments, then nodes with their ports and
// routes, then the notes.
func (p *Plan) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "network %s\n\n", p.Name)
	fmt.Fprintln(w, "SEGMENT\tKIND\tMTU\tPREFIXES\tNODES")
	for _, s := range p.Segments {
		var nodes []string
		for _, ref := range s.Ports {
			nodes = append(nodes, ref.Node)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Kind, effectiveMTU(s.MTU), list(s.Prefixes), strings.Join(nodes, ", "))
	}
	fmt.Fprintln(w, "\nNODE\tKIND\tPORT\tMAC\tADDRESSES")
	for i := range p.Nodes {
		writePorts(w, &p.Nodes[i])
	}
	routes := 0
	for i := range p.Nodes {
		routes += len(p.Nodes[i].Routes)
	}
	if routes > 0 {
		fmt.Fprintln(w, "\nNODE\tROUTE\tVIA\tPORT")
		for i := range p.Nodes {
			writeRoutes(w, &p.Nodes[i])
		}
	}
	for _, note := range p.Notes {
		fmt.Fprintf(w, "\nnote: %s", note)
	}
	_ = w.Flush()
	lines := strings.Split(text.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
}

func effectiveMTU(mtu int) int {
	if mtu == 0 {
		return 1500
	}
	return mtu
}

func list(prefixes []netip.Prefix) string {
	if len(prefixes) == 0 {
		return "-"
	}
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, " ")
}

func writePorts(w *tabwriter.Writer, n *NodePlan) {
	kind := "host"
	if n.Forward {
		kind = "router"
	}
	for _, port := range n.Ports {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", n.Name, kind, port.Name, net.HardwareAddr(port.MAC[:]), list(port.Addrs))
	}
	if len(n.Loopback) > 0 || len(n.Ports) == 0 {
		fmt.Fprintf(w, "%s\t%s\tlo\t-\t%s\n", n.Name, kind, list(n.Loopback))
	}
}

func writeRoutes(w *tabwriter.Writer, n *NodePlan) {
	for _, r := range n.Routes {
		to, via, dev := r.To.String(), "-", r.Dev
		if r.To.Bits() == 0 {
			to = "default"
		}
		if r.Type != Unicast {
			to = r.Type.String() + " " + to
		}
		if r.Table != 0 {
			to += fmt.Sprintf(" table %d", r.Table)
		}
		if r.Via.IsValid() {
			via = r.Via.String()
		}
		if dev == "" {
			dev = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Name, to, via, dev)
	}
}
