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
	// Bridge is the switch that has it, as Open vSwitch calls it.
	Bridge string
	// Missed is true of no flow, where none of a table's is for a packet. Of Flows it is what no
	// flow of the first table was for.
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
	return f.Bridge == other.Bridge && f.Table == other.Table && f.Missed == other.Missed && (f.Missed || f.Priority == other.Priority && f.Match == other.Match)
}

// ownTable is one that Open vSwitch has for itself (TBL_INTERNAL): with a register 0 for what
// no flow is for.
const ownTable = 254

// Flows are the switch's, with what they have counted until now; ports are numbers.
func (o *OpenVSwitch) Flows() ([]OVSFlow, error) {
	o = o.here()
	// ovs-vswitchd reads frames and commands in turn: what came in before the first of these is
	// read before the second, by which counts are brought in.
	if err := errors.Join(o.settled(), o.settled()); err != nil {
		return nil, at(err, "switch %s", o.name)
	}
	text, err := o.Appctl("bridge/dump-flows", o.bridge)
	if err != nil {
		return nil, err
	}
	flows, err := parseFlows(text)
	for i := range flows {
		flows[i].Bridge = o.bridge
	}
	return flows, at(err, "switch %s", o.name)
}

var flowLine = regexp.MustCompile(`^(?:table_id=(\d+), )?duration=[^,]*, n_packets=(\d+), n_bytes=\d+, (?:(.*),)?actions=(.*)$`)

// parseFlows reads what bridge/dump-flows says.
func parseFlows(text string) (flows []OVSFlow, err error) {
	missed := OVSFlow{Missed: true}
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
		switch {
		case f.Table != ownTable:
			flows = append(flows, f)
		case strings.HasPrefix(f.Match, "reg0="):
			missed.Packets += f.Packets
		}
	}
	return append(flows, missed), nil
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
	columns  []int     // where each was printed: what one does stands further right
	bridges  []visit   // that it is at, each by the one before
	last     int       // the one that did something last
}

// visit is a switch that a packet has come to, and where that was printed: what it meets there stands
// further right, unless it is the last that becomes of it.
type visit struct {
	bridge string
	column int
}

// Last is the flow that decides, with ports by name: the one that did something last.
func (t OVSTrace) Last() OVSFlow {
	if len(t.Flows) == 0 {
		return OVSFlow{}
	}
	return t.Flows[t.last]
}

// Counted is what the flow that decides has counted, of those that Flows has read; where none of
// a table's is for the packet, the one that led there. It is false where there is none.
func (t OVSTrace) Counted(flows []OVSFlow) (uint64, bool) {
	if len(t.numbered) == 0 {
		return 0, false
	}
	at := t.last
	for at > 0 && t.numbered[at].Missed && t.numbered[at-1].Bridge == t.numbered[at].Bridge {
		at--
	}
	i := slices.IndexFunc(flows, t.numbered[at].same)
	if i < 0 {
		return 0, false
	}
	return flows[i].Packets, true
}

// Trace says what the switch would do with a packet that comes in at a port, in the words of
// ovs-fields(7): "in_port=pc,icmp,nw_src=10.0.1.1". Nothing is sent, and nothing learnt.
func (o *OpenVSwitch) Trace(packet string) (OVSTrace, error) {
	o = o.here()
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
	traceAt    = regexp.MustCompile(`^( *)bridge\("(.*)"\)$`)
	traceMiss  = regexp.MustCompile(`^\s*(\d+)\. (No match|reg0=0x[123], priority 0$)`) // behind a patch port the flow of ownTable
	resumed    = regexp.MustCompile(`(^|,)(ct(\([^()]*(\([^()]*\)[^()]*)*\))?,)?recirc\(0x[0-9a-f]+\)$`)
	unfollowed = regexp.MustCompile(`(?i)\b(group|meter|learn|multipath|bundle|bundle_load|sample|controller|conjunction|note|check_pkt_larger)\b`)
)

// parseTrace reads what ofproto/trace says.
func parseTrace(text string) (t OVSTrace, err error) {
	fields, traced := map[string]bool{}, false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if t.meets(line) {
			continue
		}
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), ": "); word {
		case "Megaflow":
			for _, field := range strings.Split(rest, ",") {
				name, _, _ := strings.Cut(field, "=")
				fields[name] = true
			}
		case "Datapath actions": // once more after each recirculation
			traced = true
			if rest = resumed.ReplaceAllString(rest, ""); rest != "drop" && rest != "" {
				t.Outputs = append(t.Outputs, strings.Split(rest, ",")...)
			}
		case "Flow", "Final flow":
		default:
			t.act(line)
		}
	}
	if !traced || len(t.Flows) == 0 {
		return t, fmt.Errorf("ovs-vswitchd traces it in words that are not known: %q", text)
	}
	for name := range fields {
		t.Fields = append(t.Fields, name)
	}
	slices.Sort(t.Fields)
	return t, nil
}

// meets notes the switch or the flow that a line is about, if it is about one.
func (t *OVSTrace) meets(line string) bool {
	f := OVSFlow{}
	if m := traceAt.FindStringSubmatch(line); m != nil {
		t.bridges = append(t.bridges, visit{m[2], len(m[1])})
		return true
	}
	if m := traceMiss.FindStringSubmatch(line); m != nil {
		f.Missed = true
		f.Table, _ = strconv.Atoi(m[1])
	} else if m := traceFlow.FindStringSubmatch(line); m != nil {
		f.Match, f.Cookie = m[2], m[4]
		f.Table, _ = strconv.Atoi(m[1])
		f.Priority, _ = strconv.Atoi(m[3])
	} else {
		return false
	}
	column := strings.IndexByte(line, '.')
	for last := len(t.bridges) - 1; last > 0 && t.bridges[last].column > column; last-- {
		t.bridges = t.bridges[:last]
	}
	if len(t.bridges) > 0 {
		f.Bridge = t.bridges[len(t.bridges)-1].bridge
	}
	t.Flows, t.columns = append(t.Flows, f), append(t.columns, column)
	t.last = len(t.Flows) - 1
	return true
}

// act notes what a flow does that was met: the last one of those further left, since one that was
// led to another table comes back, unless that was the last it does.
func (t *OVSTrace) act(line string) {
	words := strings.TrimSpace(line)
	if len(t.Flows) == 0 || words == "" || strings.HasPrefix(words, "-") || strings.HasPrefix(words, "=") || strings.HasPrefix(words, "recirc(") ||
		words == "thaw" || strings.HasPrefix(words, "Resuming") {
		return
	}
	if by := unfollowed.FindString(words); by != "" {
		t.Unfollowed = strings.ToLower(by)
	}
	column := len(line) - len(strings.TrimLeft(line, " "))
	for t.last = len(t.Flows) - 1; t.last > 0 && t.columns[t.last] >= column; {
		t.last--
	}
	last := &t.Flows[t.last]
	if last.Actions != "" {
		words = last.Actions + "," + words
	}
	last.Actions = words
}
