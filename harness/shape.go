package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// shape is what lasts of a namespace's state, part by part and line by line: what
// two of the same making have in common.
type shape map[string][]string

// shapePart is a part of a shape, and what writes it.
type shapePart struct {
	title string
	write func(*state, io.Writer) error
	vague bool // what it does is not read, and may differ where what is told is the same
}

// ofLegacy is the part of the rules of iptables-legacy.
const ofLegacy = "iptables"

// lastingParts are those of what lasts, nftables' rules apart; what lists those as nft does is slow.
var (
	lastingParts = []shapePart{
		{title: "links", write: (*state).lastingLinks}, {title: "routes", write: (*state).lastingRoutes}, {title: "policy routing rules", write: (*state).rules},
		{title: "neighbours", write: (*state).permanentNeighbours}, {title: "neighbours answered for", write: (*state).proxies},
		{title: "bridges", write: (*state).bridges}, {title: "wireguard", write: (*state).lastingWireGuard},
		{title: "xfrm", write: (*state).xfrm, vague: true}, {title: "traffic control", write: (*state).traffic, vague: true},
		{title: "IPVS", write: (*state).balancing, vague: true}, {title: "sets of ipset", write: (*state).sets},
		{title: ofLegacy, write: (*state).legacyRules}, {title: "sysctls", write: (*state).decisiveSysctls},
	}
	allParts = append(slices.Clone(lastingParts), shapePart{title: "nftables", write: (*state).lastingRules})
)

// shapeOf reads a namespace's, as far as it has those parts.
func shapeOf(g *ground, parts []shapePart) (shape, error) {
	made := shape{}
	err := withState(context.Background(), g, func(s *state) error {
		for _, part := range parts {
			text := new(bytes.Buffer)
			if err := part.write(s, text); err != nil {
				return at(err, "%s", part.title)
			}
			lines := strings.Split(strings.Trim(text.String(), "\n"), "\n")
			if !strings.HasSuffix(part.title, "tables") && part.title != "sysctls" { // where the order says nothing
				slices.Sort(lines)
			}
			made[part.title] = lines
		}
		return nil
	})
	return made, err
}

// differs says how another is different, "" when it is not: a line of each part
// that is.
func (s shape) differs(other shape) string {
	var parts []string
	for _, title := range slices.Sorted(maps.Keys(s)) {
		if line := firstMissing(s[title], other[title]); line != "" {
			parts = append(parts, fmt.Sprintf("%s: %q is new", title, line))
		} else if line := firstMissing(other[title], s[title]); line != "" {
			parts = append(parts, fmt.Sprintf("%s: %q is gone", title, line))
		} else if !slices.Equal(s[title], other[title]) {
			parts = append(parts, title+": in another order")
		}
	}
	return strings.Join(parts, "; ")
}

// firstMissing is the first line that the others do not have as often.
func firstMissing(lines, others []string) string {
	left := map[string]int{}
	for _, line := range others {
		left[line]++
	}
	for _, line := range lines {
		if left[line]--; left[line] < 0 {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// lastingLinks writes interfaces and their addresses, without what each namespace has
// its own of, and what takes its time: indexes of peers, link-local addresses, carrier.
func (s *state) lastingLinks(w io.Writer) error {
	links, addrs, err := s.linksAndAddrs()
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.Kind == "bridge" || l.Master != 0 {
			l.MAC = "" // by chance, and nobody sends to it
		}
		fmt.Fprintf(w, "%s up %v arp %v mtu %d %s %s master %s %s table %d %s\n",
			l.Name, l.Up, l.Flags&unix.IFF_NOARP == 0, l.MTU, l.Kind, orDash(l.MAC), s.name(l.Master), bridgePortText(l.BridgePort), l.Table, orDash(l.Tunnel.String()))
		for _, addr := range addrs {
			if addr.Index == l.Index && !addr.Prefix.Addr().IsLinkLocalUnicast() {
				fmt.Fprintf(w, "%s %s\n", l.Name, addrText(addr))
			}
		}
	}
	return nil
}

// withoutMACs takes those of interfaces out, where nobody chose any and nobody sends to them.
func (s shape) withoutMACs() {
	for i, line := range s["links"] {
		s["links"][i] = anyMACs.ReplaceAllString(line, " - ")
	}
	slices.Sort(s["links"])
}

var anyMACs = regexp.MustCompile(` (?:[0-9a-f]{2}:){5}[0-9a-f]{2} `)

// lastingRoutes writes the routes, whether or not their links have a carrier, without those of
// link-local addresses: some kinds of tunnel make theirs up by chance (addrconf_ifid_ip6tnl).
func (s *state) lastingRoutes(w io.Writer) error {
	text := new(bytes.Buffer)
	if err := s.routes(text); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if strings.HasPrefix(line, "local fe80::") && strings.Contains(line, " proto kernel") {
			continue
		}
		if _, err := strings.NewReplacer(" linkdown", "", " dead", "").WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

// permanentNeighbours writes the entries that somebody made, of neighbours and of bridges.
func (s *state) permanentNeighbours(w io.Writer) error {
	neighbours, err := s.in.Neighbours()
	if err != nil {
		return err
	}
	for _, n := range neighbours {
		if n.State&netlink.NUD_PERMANENT != 0 {
			fmt.Fprintf(w, "%s dev %s %s\n", n.Addr, s.name(n.Index), orDash(n.At()))
		}
	}
	learnt, err := s.in.Learnt()
	if whole(err) != nil {
		return err
	}
	for _, entry := range learnt {
		if entry.State&netlink.NUD_NOARP != 0 {
			fmt.Fprintf(w, "bridge %s: %s dev %s static\n", s.name(entry.Bridge), entry.MAC, s.name(entry.Index))
		}
	}
	return nil
}

// reserved begins the names of tables that are nobody's but nstest's own.
const reserved = "nstest-"

// lastingRules writes the nftables rules without counters and handles.
func (s *state) lastingRules(w io.Writer) error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := conn.ListTables()
	if err != nil {
		return err
	}
	for _, table := range tables {
		if strings.HasPrefix(table.Name, reserved) {
			continue
		}
		path, err := tool("nft", "nftables")
		if err != nil {
			return err
		}
		if err := s.program(w, path, "--stateless", "list", "table", tableFamily(table.Family), table.Name); err != nil {
			return err
		}
	}
	return nil
}

// legacyRules writes those of iptables-legacy, if there are any, without the time.
func (s *state) legacyRules(w io.Writer) error {
	for _, program := range inspect.LegacyPrograms() {
		path, err := tool(program+"-save", "iptables")
		if err != nil {
			return err
		}
		text := new(bytes.Buffer)
		if err := s.program(text, path); err != nil {
			return err
		}
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "#") {
				fmt.Fprint(w, withoutCounters.ReplaceAllString(line, ""))
			}
		}
	}
	return nil
}

var withoutCounters = regexp.MustCompile(`\[\d+:\d+\]`)
