package harness

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// OVSFlow is a flow of an Open vSwitch.
type OVSFlow struct {
	Table, Priority int
	// Cookie is its cookie, "0x2a"; "" for none, and where it was not read.
	Cookie string
	// Match is what it is for, and Actions what it does, in ovs-ofctl's words; ports are called
	// as nodes are, or by their numbers.
	Match, Actions string
	// Missed is true of no flow, where none of a table's is for a packet.
	Missed bool
	// Packets is how many it has counted.
	Packets uint64
}

// String is the flow as ovs-ofctl add-flow takes it: "priority=10,icmp,in_port=pc,actions=drop".
func (f OVSFlow) String() string {
	if f.Missed {
		return fmt.Sprintf("no flow of table %d", f.Table)
	}
	var words []string
	if f.Cookie != "" {
		words = append(words, "cookie="+f.Cookie)
	}
	if f.Table != 0 {
		words = append(words, "table="+strconv.Itoa(f.Table))
	}
	words = append(words, "priority="+strconv.Itoa(f.Priority))
	if f.Match != "" {
		words = append(words, f.Match)
	}
	return strings.Join(append(words, "actions="+f.Actions), ",")
}

// same says whether two are one: a switch has no two of a table, priority and match.
func (f OVSFlow) same(other OVSFlow) bool {
	return f.Table == other.Table && f.Missed == other.Missed && (f.Missed || f.Priority == other.Priority && f.Match == other.Match)
}

// ownTable is one that Open vSwitch has for itself (TBL_INTERNAL).
const ownTable = 254

// Flows are the switch's, with what they have counted until now; ports are numbers.
func (o *OpenVSwitch) Flows() ([]OVSFlow, error) {
	// ovs-vswitchd reads frames and commands in turn: what came in before the first of these is
	// read before the second, by which counts are brought in.
	if err := errors.Join(o.settled(), o.settled()); err != nil {
		return nil, at(err, "switch %s", o.name)
	}
	text, err := o.Appctl("bridge/dump-flows", o.bridge)
	if err != nil {
		return nil, err
	}
	return parseFlows(text)
}

var flowLine = regexp.MustCompile(`^(?:table_id=(\d+), )?duration=[^,]*, n_packets=(\d+), n_bytes=\d+, (?:(.*),)?actions=(.*)$`)

// parseFlows reads what bridge/dump-flows says.
func parseFlows(text string) (flows []OVSFlow, err error) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := flowLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("ovs-vswitchd tells of a flow in words that are not known: %q", line)
		}
		f := OVSFlow{Priority: defaultPriority, Match: m[3], Actions: m[4]}
		f.Table, _ = strconv.Atoi(m[1])
		f.Packets, _ = strconv.ParseUint(m[2], 10, 64)
		if rest, has := strings.CutPrefix(f.Match, "priority="); has {
			number, match, _ := strings.Cut(rest, ",")
			f.Priority, _ = strconv.Atoi(number)
			f.Match = match
		}
		if f.Table != ownTable {
			flows = append(flows, f)
		}
	}
	return flows, nil
}

// defaultPriority is that of a flow which says none (OFP_DEFAULT_PRIORITY).
const defaultPriority = 32768

// OVSTrace is what an Open vSwitch would do with a packet, by ofproto/trace.
type OVSTrace struct {
	// Flows are those that it meets, in order; the last one decides. Ports are called as nodes.
	Flows []OVSFlow
	// Outputs are the ports that it leaves by; none where it is dropped.
	Outputs []string
	// Fields are those of the packet by which the switch decides: "nw_dst", "tp_src".
	Fields []string
	// Unfollowed is what of it depends on more than the packet (group, meter, learn); "" for
	// nothing.
	Unfollowed string

	numbered []OVSFlow // Flows, with ports' numbers
}

// Last is the flow that decides, with ports by name.
func (t OVSTrace) Last() OVSFlow { return t.Flows[len(t.Flows)-1] }

// Counted is what the flow that decides has counted, of those that Flows has read; false where
// there is none, as where no flow is for the packet.
func (t OVSTrace) Counted(flows []OVSFlow) (uint64, bool) {
	last := t.numbered[len(t.numbered)-1]
	i := slices.IndexFunc(flows, last.same)
	if i < 0 {
		return 0, false
	}
	return flows[i].Packets, true
}

// Trace says what the switch would do with a packet that comes in at a port, in the words of
// ovs-fields(7): "in_port=pc,icmp,nw_src=10.0.1.1". Nothing is sent, and nothing learnt.
func (o *OpenVSwitch) Trace(packet string) (OVSTrace, error) {
	numbered, err := o.Appctl("ofproto/trace", o.bridge, packet)
	if err != nil {
		return OVSTrace{}, err
	}
	named, err := o.Appctl("ofproto/trace", "--names", o.bridge, packet)
	if err != nil {
		return OVSTrace{}, err
	}
	t, err := parseTrace(named)
	if err == nil {
		var other OVSTrace
		other, err = parseTrace(numbered)
		t.numbered = other.Flows
	}
	if err == nil && len(t.numbered) != len(t.Flows) {
		err = fmt.Errorf("its flows changed meanwhile")
	}
	return t, at(err, "switch %s: trace %s", o.name, packet)
}

var (
	traceFlow  = regexp.MustCompile(`^\s*(\d+)\. (?:(.*), )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?$`)
	traceMiss  = regexp.MustCompile(`^\s*(\d+)\. No match`)
	unfollowed = regexp.MustCompile(`\b(group|meter|learn|multipath|bundle|bundle_load|sample|controller|conjunction|note|check_pkt_larger)\b`)
)

// parseTrace reads what ofproto/trace says.
func parseTrace(text string) (t OVSTrace, err error) {
	fields, traced := map[string]bool{}, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := traceFlow.FindStringSubmatch(line); m != nil {
			f := OVSFlow{Match: m[2], Cookie: m[4]}
			f.Table, _ = strconv.Atoi(m[1])
			f.Priority, _ = strconv.Atoi(m[3])
			t.Flows = append(t.Flows, f)
			continue
		}
		if m := traceMiss.FindStringSubmatch(line); m != nil {
			f := OVSFlow{Missed: true}
			f.Table, _ = strconv.Atoi(m[1])
			t.Flows = append(t.Flows, f)
			continue
		}
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), ": "); word {
		case "Megaflow":
			for _, field := range strings.Split(rest, ",") {
				name, _, _ := strings.Cut(field, "=")
				fields[name] = true
			}
		case "Datapath actions":
			t.Outputs, traced = strings.Split(rest, ","), true
		case "Flow", "Final flow":
		default:
			t.act(strings.TrimSpace(line))
		}
	}
	if !traced || len(t.Flows) == 0 {
		return t, fmt.Errorf("ovs-vswitchd traces it in words that are not known: %q", text)
	}
	if slices.Equal(t.Outputs, []string{"drop"}) {
		t.Outputs = nil
	}
	for name := range fields {
		t.Fields = append(t.Fields, name)
	}
	slices.Sort(t.Fields)
	return t, nil
}

// act notes what the flow that was met last does.
func (t *OVSTrace) act(line string) {
	if len(t.Flows) == 0 || line == "" || strings.HasPrefix(line, "-") || strings.HasPrefix(line, "=") || strings.HasPrefix(line, "recirc(") ||
		strings.HasPrefix(line, "bridge(") || line == "thaw" || strings.HasPrefix(line, "Resuming") {
		return
	}
	if by := unfollowed.FindString(line); by != "" {
		t.Unfollowed = by
	}
	last := &t.Flows[len(t.Flows)-1]
	if last.Actions != "" {
		line = last.Actions + "," + line
	}
	last.Actions = line
}
