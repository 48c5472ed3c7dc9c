package inspect_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// selector is what a rule of policy routing is made of, for the kernel.
type selector struct {
	priority, mark             uint32
	from, to                   string // prefixes
	in                         string
	tos, protocol              uint8
	dports, sports             [2]uint16
	uids                       *[2]uint32
	invert                     bool
	action, table, destination uint32
	suppress                   int
}

// add gives a node a rule of a family.
func (r selector) add(t *testing.T, node *harness.Node, family byte) {
	t.Helper()
	header := make([]byte, 12)
	header[0], header[3], header[7] = family, r.tos, uint8(r.action)
	if r.invert {
		binary.NativeEndian.PutUint32(header[8:], 2)
	}
	a := mdlayher.NewAttributeEncoder()
	for kind, text := range map[uint16]string{unix.FRA_SRC: r.from, unix.FRA_DST: r.to} {
		if text != "" {
			prefix := netip.MustParsePrefix(text)
			header[map[uint16]int{unix.FRA_DST: 1, unix.FRA_SRC: 2}[kind]] = uint8(prefix.Bits())
			a.Bytes(kind, prefix.Addr().AsSlice())
		}
	}
	for kind, value := range map[uint16]uint32{
		unix.FRA_PRIORITY: r.priority, unix.FRA_FWMARK: r.mark, unix.FRA_TABLE: r.table, unix.FRA_GOTO: r.destination, unix.FRA_SUPPRESS_PREFIXLEN: uint32(r.suppress),
	} {
		if value != 0 {
			a.Uint32(kind, value)
		}
	}
	if r.in != "" {
		a.String(unix.FRA_IIFNAME, r.in)
	}
	if r.protocol != 0 {
		a.Uint8(unix.FRA_IP_PROTO, r.protocol)
	}
	if r.uids != nil {
		a.Bytes(unix.FRA_UID_RANGE, binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, r.uids[0]), r.uids[1]))
	}
	for kind, ports := range map[uint16][2]uint16{unix.FRA_DPORT_RANGE: r.dports, unix.FRA_SPORT_RANGE: r.sports} {
		if ports != [2]uint16{} {
			a.Bytes(kind, binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, ports[0]), ports[1]))
		}
	}
	attributes, err := a.Encode()
	must(t, err)
	must(t, node.Do(func() error {
		conn, err := mdlayher.Dial(unix.NETLINK_ROUTE, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Execute(mdlayher.Message{
			Header: mdlayher.Header{Type: unix.RTM_NEWRULE, Flags: mdlayher.Request | mdlayher.Acknowledge | mdlayher.Create | mdlayher.Excl},
			Data:   append(header, attributes...),
		})
		return err
	}))
}

const (
	blackhole, unreachable, prohibit = unix.FR_ACT_BLACKHOLE, unix.FR_ACT_UNREACHABLE, unix.FR_ACT_PROHIBIT
	table, goTo                      = unix.FR_ACT_TO_TBL, unix.FR_ACT_GOTO
)

func TestRulesAsIPRulePrintsThem(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	fw := lab.Node("fw")
	for _, c := range []struct {
		family byte
		rule   selector
		want   string
	}{
		{unix.AF_INET, selector{priority: 1000, protocol: unix.IPPROTO_TCP, dports: [2]uint16{80, 80}, action: blackhole}, "1000: from all ipproto tcp dport 80 blackhole"},
		{unix.AF_INET, selector{priority: 1001, from: "10.0.1.0/24", to: "10.0.2.1/32", protocol: unix.IPPROTO_UDP, sports: [2]uint16{1, 99}, action: prohibit},
			"1001: from 10.0.1.0/24 to 10.0.2.1 ipproto udp sport 1-99 prohibit"},
		{unix.AF_INET6, selector{priority: 1002, in: "lan", mark: 7, action: unreachable}, "1002: from all fwmark 0x7 iif lan unreachable"},
		{unix.AF_INET, selector{priority: 1003, invert: true, from: "10.9.0.0/16", tos: 0x10, table: 300, action: table}, "1003: not from 10.9.0.0/16 tos 0x10 lookup 300"},
		{unix.AF_INET, selector{priority: 1004, uids: &[2]uint32{0, 0}, destination: 32766, action: goTo}, "1004: from all uidrange 0-0 goto 32766"},
		{unix.AF_INET, selector{priority: 1005, suppress: 8, table: 254, action: table}, "1005: from all lookup main suppress_prefixlength 8"},
	} {
		c.rule.add(t, fw, c.family)
		var texts []string
		for _, r := range read(t, fw).PolicyRules {
			if r.V6 == (c.family == unix.AF_INET6) {
				texts = append(texts, r.String())
			}
		}
		if !slices.Contains(texts, c.want) || !slices.Contains(texts, "32766: from all lookup main") {
			t.Errorf("no %q in\n%s", c.want, strings.Join(texts, "\n"))
		}
	}
}

// ways are routes and rules of every kind, in IPv4's addresses.
var ways = struct {
	routes []topo.Route
	rules  []selector
}{
	[]topo.Route{
		{To: "10.0.2.1/32", Type: topo.Blackhole, Table: 100}, {To: "10.0.2.0/24", Type: topo.Prohibit, Table: 100},
		{To: "10.0.2.0/25", Type: topo.Unreachable, Table: 200}, {To: "10.7.0.0/16", Type: topo.Blackhole}, {To: "10.7.1.0/24", Via: "10.0.2.1"},
		{To: "10.8.0.0/16", Type: topo.Prohibit, Table: 300}, {To: "10.8.0.0/24", Via: "10.0.2.1"}, {To: "10.9.0.0/16", Via: "10.0.2.1", Table: 300},
	},
	[]selector{
		{priority: 100, protocol: unix.IPPROTO_TCP, dports: [2]uint16{80, 89}, table: 100, action: table},
		{priority: 110, mark: 5, action: blackhole},
		{priority: 120, in: "lan", protocol: unix.IPPROTO_UDP, sports: [2]uint16{53, 53}, action: unreachable},
		{priority: 130, in: "lo", to: "10.0.2.9/32", action: prohibit},
		{priority: 140, tos: 8, table: 200, action: table},
		{priority: 150, uids: &[2]uint32{7, 7}, action: prohibit},
		{priority: 160, from: "10.0.1.77/32", destination: 32766, action: goTo},
		{priority: 170, table: 300, suppress: 16, action: table},
	},
}

// in6 is an address or prefix of the same place in IPv6.
func in6(text string) string {
	if text == "" {
		return ""
	}
	var b [4]int
	bits := -1
	_, _ = fmt.Sscanf(text, "%d.%d.%d.%d/%d", &b[0], &b[1], &b[2], &b[3], &bits)
	addr := fmt.Sprintf("fd%02d:%d::%d", b[1], b[2], b[3])
	if bits < 0 {
		return addr
	}
	return netip.PrefixFrom(netip.MustParseAddr(addr), map[int]int{32: 128, 25: 121, 24: 64, 16: 16}[bits]).Masked().String()
}

func TestWhatDecidesIsTheKernelsOwn(t *testing.T) {
	t.Parallel()
	whatDecidesIsTheKernelsOwn(t, func(uid uint32) bool { return uid == 0 })
}

func TestWhatDecidesForUsersIsTheKernelsOwn(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.Users)
	whatDecidesIsTheKernelsOwn(t, func(uint32) bool { return true })
}

// whatDecidesIsTheKernelsOwn compares what decides with what the kernel's lookup says,
// over rules and questions of every kind, but those of users that there are none of.
func whatDecidesIsTheKernelsOwn(t *testing.T, is func(uid uint32) bool) {
	t.Helper()
	for family, as := range map[byte]func(string) string{unix.AF_INET: func(text string) string { return text }, unix.AF_INET6: in6} {
		lab := harness.Up(t, office(func(_, _, fw *topo.Node) {
			for _, r := range ways.routes {
				r.To, r.Via = as(r.To), as(r.Via)
				fw.Route(r)
			}
		}))
		fw := lab.Node("fw")
		for _, r := range ways.rules {
			if r.uids != nil && !is(r.uids[0]) {
				continue
			}
			r.from, r.to = as(r.from), as(r.to)
			r.add(t, fw, family)
		}
		questions := slices.DeleteFunc(questionsAt(link(t, fw, "lan").Attrs().Index, as), func(q inspect.Question) bool { return !is(q.UID) })
		state := read(t, fw, questions...)
		seen := map[unix.Errno]int{}
		for _, q := range questions {
			want := state.Lookups[q].Errno
			seen[want]++
			d, ok := state.Decide(q)
			got := unix.ENETUNREACH
			if ok {
				got = d.Errno()
			}
			if got != want {
				t.Errorf("%+v: %v by %v %+v (%v), the kernel says %v", q, got, d.Rule, d.Route, ok, want)
			}
		}
		for _, errno := range []unix.Errno{0, unix.EINVAL, unix.EACCES, unix.EHOSTUNREACH, unix.ENETUNREACH} {
			if seen[errno] == 0 {
				t.Errorf("the control: no question ends with %v: %v", errno, seen)
			}
		}
	}
}

// questionsAt ask for packets of every kind, that the node sends, and that came in.
func questionsAt(lan int, as func(string) string) (questions []inspect.Question) {
	client, another := netip.MustParseAddr(as("10.0.1.1")), netip.MustParseAddr(as("10.0.1.77"))
	for _, to := range []string{"10.0.2.1", "10.0.2.9", "10.0.2.200", "10.7.0.1", "10.7.1.1", "10.8.0.1", "10.8.1.1", "10.9.0.1", "10.99.0.1"} {
		addr := netip.MustParseAddr(as(to))
		icmp := uint8(unix.IPPROTO_ICMP)
		if addr.Is6() {
			icmp = unix.IPPROTO_ICMPV6
		}
		for _, protocol := range []uint8{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP, icmp} {
			base := inspect.Question{To: addr, Protocol: protocol, Port: 80, SourcePort: 53}
			other, marked, served, users, away := base, base, base, base, base
			other.Port, other.SourcePort, marked.Mark, served.TOS, users.UID = 90, 54, 5, 8, 7
			away.From = another
			for _, q := range []inspect.Question{base, other, marked, served, users, away} {
				if !q.From.IsValid() {
					questions = append(questions, q)
					q.From = client
				}
				q.In, q.UID = lan, 0
				questions = append(questions, q)
			}
		}
	}
	return questions
}

func TestLookupsOfSocketsThatConnect(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	client := lab.Node("client")
	selector{priority: 100, from: "10.0.1.1/32", action: prohibit}.add(t, client, unix.AF_INET)
	once, twice := inspect.Question{To: server4}, inspect.Question{To: server4, Connects: true}
	lookups := read(t, client, once, twice).Lookups
	if l := lookups[once]; l.Errno != 0 || l.From != netip.MustParseAddr("10.0.1.1") || l.Table != unix.RT_TABLE_MAIN {
		t.Errorf("once: %+v", l)
	}
	if l := lookups[twice]; l.Errno != unix.EACCES || l.From != netip.MustParseAddr("10.0.1.1") {
		t.Errorf("from where it connects: %+v", l)
	}
}

func TestOddRulesDecideNothing(t *testing.T) {
	t.Parallel()
	var unread inspect.State
	if d, ok := unread.Decide(inspect.Question{To: server4}); ok {
		t.Errorf("%+v", d)
	}
	for number, want := range map[int]string{unix.RT_TABLE_MAIN: "main", 255: "local", 253: "default", 1000: "1000"} {
		if got := inspect.TableName(number); got != want {
			t.Errorf("table %d is %s, not %s", number, got, want)
		}
	}
	if got := fmt.Sprint(inspect.Range{First: 1, Last: 1}, inspect.Range{First: 1, Last: 9}); got != "1 1-9" {
		t.Error(got)
	}
}
