package rules_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
)

const (
	yes   = rules.Yes
	no    = rules.No
	maybe = rules.Maybe
)

// row is a rule of a chain at the hook forward, and what it is to say of a packet.
type row struct {
	rule   string
	packet rules.Packet
	want   rules.Answer
}

// sets are those that rows look things up in.
const sets = `
	set ports { type inet_service; flags interval; elements = { 22, 80-89, 90, 8000-9000, 65535 } }
	set hosts { type ipv4_addr; flags interval; elements = { 10.0.1.0/24, 10.0.3.7 } }
	set pairs { type ipv4_addr . inet_service; elements = { 10.0.9.1 . 80, 10.0.9.2 . 443 } }
	set spans { type ipv4_addr . inet_service; flags interval; elements = { 10.0.9.0/30 . 80-443, 10.0.9.8 . 22 } }
	set names { type ifname; elements = { "lan", "dmz" } }
	set wide { type ifname; flags interval; elements = { "la*", "dmz" } }
	set empty { type inet_service; }
	set moves { type ipv4_addr; flags dynamic, timeout; timeout 1m; elements = { 10.0.1.5 } }
	set ends { type ipv4_addr; timeout 1h; elements = { 10.0.1.5 } }
	set bounded { type ipv4_addr; flags dynamic; limit rate 1/second; elements = { 10.0.1.5 } }
	map marks { type inet_service : mark; elements = { 80 : 0x7, 81 : 0x8 } }
	map ways { type inet_service : verdict; elements = { 80 : accept, 81 : drop } }
	map rest { type inet_service : verdict; elements = { 80 : accept, * : drop } }
	limit slow { rate 1/minute }
	chain side { }
`

var plain = []row{
	{"tcp dport 22", tcp(22), yes}, {"tcp dport 22", tcp(23), no}, {"tcp dport 22", udp(22), no}, {"tcp dport != 22", tcp(22), no},
	{"tcp dport != 22", tcp(23), yes}, {"tcp dport 20-30", tcp(30), yes}, {"tcp dport 20-30", tcp(31), no}, {"tcp dport != 20-30", tcp(25), no},
	{"tcp dport != 20-30", tcp(19), yes}, {"tcp dport < 1024", tcp(1023), yes}, {"tcp dport < 1024", tcp(1024), no}, {"tcp dport >= 1024", tcp(1024), yes},
	{"tcp dport > 1024", tcp(1024), no}, {"tcp dport <= 1024", tcp(1024), yes}, {"tcp sport 40000", tcp(1), yes}, {"udp sport 53", udp(1), no},
	{"udp dport 53", six(udp(53)), yes}, {"th dport 53", udp(53), yes}, {"th dport 53", tcp(54), no}, {"meta l4proto { tcp, udp } th dport 53", udp(53), yes},
	{"meta l4proto { tcp, udp } th dport 53", ping(), no}, {"tcp sport 40000 tcp dport 80", tcp(80), yes}, {"tcp sport 40000 tcp dport 80", tcp(81), no},
	{"ip saddr 10.0.1.5", ping(), yes}, {"ip saddr 10.0.1.6", ping(), no}, {"ip saddr 10.0.1.0/24", ping(), yes}, {"ip saddr 10.0.0.0/23", ping(), yes},
	{"ip saddr 10.0.2.0/23", ping(), no}, {"ip saddr 10.0.0.0/25", ping(), no}, {"ip daddr != 10.0.9.0/24", ping(), no}, {"ip saddr 10.0.1.1-10.0.1.9", ping(), yes},
	{"ip6 saddr fd00:1::/64", six(ping()), yes}, {"ip6 saddr fd00:1::/64", ping(), no}, {"ip saddr 10.0.1.5", six(ping()), no}, {"ip6 daddr fd00:9::2", six(ping()), no},
	{"ip protocol icmp", ping(), yes}, {"ip protocol tcp", ping(), no}, {"ip6 nexthdr tcp", six(tcp(1)), yes}, {"meta nfproto ipv4", ping(), yes},
	{"meta nfproto ipv6", ping(), no}, {"meta protocol ip", ping(), yes}, {"meta protocol ip6", ping(), no}, {"meta l4proto tcp", tcp(1), yes}, {"meta l4proto != tcp", tcp(1), no},
	{"icmp type echo-request", ping(), yes}, {"icmp type echo-reply", ping(), no}, {"icmpv6 type echo-request", six(ping()), yes}, {"icmp type { echo-request, echo-reply }", ping(), yes},
	{"icmp code 0", ping(), yes}, {"icmp type echo-request", tcp(1), no}, {"icmp id 7", ping(), maybe},
	{`iifname "lan"`, ping(), yes}, {`iifname "la*"`, ping(), yes}, {`iifname "lan0"`, ping(), no}, {`iifname != "lan"`, ping(), no}, {`oifname "wan"`, ping(), yes},
	{`oifname { "wan", "dmz" }`, ping(), yes}, {`iifname { "wan", "dmz" }`, ping(), no}, {`iif 3`, ping(), yes}, {`oif 3`, ping(), no}, {`iifname "lan" oifname "wan" tcp dport 80`, tcp(80), yes},
	{"meta mark 0", ping(), yes}, {"meta mark 1", ping(), no}, {"meta mark & 0xff == 1", ping(), no}, {"meta mark set 5 meta mark 5", ping(), yes},
	{"meta mark > 3", with(ping(), func(p *rules.Packet) { p.Mark = new(uint32(0x100)) }), yes}, {"meta mark 1-7", with(ping(), func(p *rules.Packet) { p.Mark = new(uint32(0x100)) }), no},
	{"meta length 60", ping(), yes}, {"meta length > 60", ping(), no}, {"meta length 50-70", ping(), yes}, {"ip length < 61", ping(), yes}, {"ip ttl 64", ping(), yes}, {"ip ttl < 10", ping(), no},
	{"ip dscp cs1", ping(), no}, {"ip dscp 0", ping(), yes}, {"ip6 hoplimit 64", six(ping()), yes}, {"ip6 dscp 0", six(ping()), yes}, {"ip6 length 20", six(ping()), yes},
	{"ip frag-off & 0x1fff != 0", ping(), no}, {"ip version 4", ping(), yes}, {"ip hdrlength 5", ping(), maybe}, {"ip id 5", ping(), maybe}, {"ip6 flowlabel 0", six(ping()), maybe},
	{"tcp flags syn", tcp(1), yes}, {"tcp flags & (fin|syn|rst|ack) == syn", tcp(1), yes}, {"tcp flags & (syn|ack) == ack", tcp(1), no}, {"tcp flags ! ack", tcp(1), yes}, {"tcp flags & (fin|syn) == fin|syn", tcp(1), no},
	{"tcp window 5", tcp(1), maybe}, {"udp length 8", udp(1), maybe}, {"tcp option maxseg size 1000", tcp(1), maybe}, {"@th,0,16 40000", tcp(1), yes}, {"@th,160,8 1", tcp(1), maybe}, {"@nh,96,32 0x0a000105", ping(), yes},
	{"ct state new", ping(), yes}, {"ct state established,related", ping(), no}, {"ct state != new", ping(), no}, {"ct state { new, untracked }", ping(), yes}, {"ct state invalid", ping(), no},
	{"ct direction original", ping(), yes}, {"ct status dnat", ping(), maybe}, {"ct mark 5", ping(), maybe}, {"meta l4proto tcp ct original proto-dst 22", tcp(22), maybe}, {"ct state new tcp dport 80", tcp(81), no},
}

var lookups = []row{
	{"tcp dport { 22, 80 }", tcp(80), yes}, {"tcp dport { 22, 80 }", tcp(81), no}, {"tcp dport != { 22, 80 }", tcp(81), yes}, {"tcp dport != { 22, 80 }", tcp(80), no}, {"tcp dport { 22, 80-90 }", tcp(85), yes},
	{"tcp dport { 22, 80-90 }", tcp(91), no}, {"tcp dport @ports", tcp(22), yes}, {"tcp dport @ports", tcp(23), no}, {"tcp dport @ports", tcp(89), yes}, {"tcp dport @ports", tcp(90), yes}, {"tcp dport @ports", tcp(91), no},
	{"tcp dport @ports", tcp(65535), yes}, {"tcp dport @ports", tcp(65534), no}, {"tcp dport @ports", tcp(9000), yes}, {"tcp dport @ports", tcp(7999), no}, {"tcp dport @empty", tcp(1), no}, {"tcp dport != @empty", tcp(1), yes},
	{"ip saddr @hosts", ping(), yes}, {"ip daddr @hosts", ping(), no}, {"ip daddr . tcp dport @pairs", tcp(80), yes}, {"ip daddr . tcp dport @pairs", tcp(443), no}, {"ip daddr . tcp dport @spans", tcp(100), yes},
	{"ip daddr . tcp dport @spans", tcp(444), no}, {"ip daddr . tcp dport { 10.0.9.1 . 80, 10.0.9.1 . 90 }", tcp(90), yes}, {"ip saddr . ip daddr { 10.0.1.5 . 10.0.9.1 }", ping(), yes}, {"meta l4proto . th dport { tcp . 22, udp . 53 }", udp(53), yes},
	{"meta l4proto . th dport { tcp . 22, udp . 53 }", tcp(53), no}, {`iifname . oifname { "lan" . "wan" }`, ping(), yes}, {"iifname @names", ping(), yes}, {"oifname @names", ping(), no}, {"iifname @wide", ping(), yes}, {"oifname @wide", ping(), no},
	{"ip saddr @moves", ping(), maybe}, {"ip daddr @moves", ping(), maybe}, {"ip saddr @ends", ping(), maybe}, {"ip saddr @bounded", ping(), maybe},
	{"tcp dport vmap { 80 : accept, 81 : drop }", tcp(80), yes}, {"tcp dport vmap { 80 : accept, 81 : drop }", tcp(82), no}, {"tcp dport vmap @ways", tcp(81), yes}, {"tcp dport vmap @rest", tcp(85), yes},
	{"meta mark set tcp dport map @marks meta mark 7", tcp(80), yes}, {"meta mark set tcp dport map @marks meta mark 7", tcp(81), no}, {"meta mark set tcp dport map @marks", tcp(82), no},
	{"meta mark set tcp dport map { 80 : 1, 81-90 : 2 } meta mark 2", tcp(85), yes}, {"ip saddr 10.0.1.5 tcp dport @ports", udp(22), no},
}

var unsure = []row{
	{"limit rate 1/minute", ping(), maybe}, {"tcp dport 443 limit rate 1/minute accept", tcp(443), maybe}, {"tcp dport 443 limit rate 1/minute accept", tcp(22), no}, {"tcp dport 443 limit rate 1/minute accept", ping(), no},
	{"limit name slow", ping(), maybe}, {"quota over 1 mbytes", ping(), maybe}, {"ct count over 3", ping(), maybe}, {"numgen inc mod 2 0", ping(), maybe}, {"numgen random mod 2 0", ping(), maybe}, {"jhash ip saddr mod 2 0", ping(), maybe},
	{"add @moves { ip saddr }", ping(), maybe}, {"fib daddr type local", ping(), maybe}, {"fib daddr type local tcp dport 80", tcp(81), no}, {"rt mtu 1500", ping(), maybe},
	{"rt ip nexthop 10.0.0.1 tcp dport 80", tcp(81), no}, {"meta cpu 0", ping(), maybe}, {"meta skuid 0", ping(), maybe}, {"meta skuid 0", with(ping(), func(p *rules.Packet) { p.Foreign = true }), no}, {"meta pkttype host", ping(), maybe},
	{"counter", ping(), yes}, {"log prefix \"x\"", ping(), yes}, {"accept", ping(), yes}, {"counter drop", ping(), yes}, {"jump side", ping(), yes}, {"reject", ping(), yes}, {"ct mark set 1", ping(), yes},
	{"ip dscp set cs1", ping(), yes}, {"tcp flags syn tcp option maxseg size set 1000", tcp(1), maybe}, {"meta hour 10:00-11:00", ping(), maybe}, {"ether saddr 02:00:00:00:00:01", ping(), maybe}, {"tcp dport 80", rules.Packet{}, maybe},
	{"tcp dport 80", with(tcp(80), func(p *rules.Packet) { p.DstPort = nil }), maybe}, {"tcp dport 80", with(tcp(80), func(p *rules.Packet) { p.Protocol = nil }), maybe}, {"ip saddr 10.0.1.5", with(ping(), func(p *rules.Packet) { p.Src = netip.Addr{} }), maybe},
	{`iifname "lan"`, with(ping(), func(p *rules.Packet) { p.In = rules.Interface{} }), maybe}, {"meta mark 1", with(ping(), func(p *rules.Packet) { p.Mark = nil }), maybe}, {"meta mark & 0 == 0", with(ping(), func(p *rules.Packet) { p.Mark = nil }), yes},
	{"tcp dport { 80, 81 }", with(tcp(80), func(p *rules.Packet) { p.DstPort = nil }), maybe}, {"ct state new", with(ping(), func(p *rules.Packet) { p.State = nil }), maybe}, {"ip ttl > 0", with(ping(), func(p *rules.Packet) { p.TTL = nil }), maybe},
	{"ip ttl >= 0", with(ping(), func(p *rules.Packet) { p.TTL = nil }), yes}, {"tcp dport 80", with(rules.Packet{}, func(p *rules.Packet) { p.Protocol = new(uint8(17)) }), no},
	{"ct state established", with(ping(), func(p *rules.Packet) { p.State = new(expr.CtStateBitESTABLISHED) }), yes},
}

// rare are those that not every kernel knows.
var rare = []row{
	{"socket transparent 1", tcp(1), maybe}, {"osf name unknown", tcp(1), maybe}, {"queue num 1", ping(), yes}, {"synproxy mss 1000", udp(1), no}, {"synproxy mss 1000", tcp(1), maybe},
	{"socket cgroupv2 level 1 7", tcp(1), maybe}, {"last", tcp(1), yes}, {"meta ipsec exists", tcp(1), maybe}, {"ipsec in reqid 1", tcp(1), maybe}, {"tcp flags syn osf name unknown tcp dport 80", tcp(81), no},
}

func TestMatchRare(t *testing.T) {
	t.Parallel()
	node := oneNode(t, "")
	for _, r := range rare {
		if err := node.Nft("flush ruleset; table inet t { chain c { type filter hook forward priority 0; " + r.rule + "; }; }"); err != nil {
			t.Logf("%s: not here", r.rule)
			continue
		}
		rule := read(t, node).Chain("inet", "t", "c").Rules[0]
		if got := rules.Match(rule, r.packet); got != r.want {
			t.Errorf("%s: %s, want %s; expressions %s", r.rule, got, r.want, exprs(rule))
		}
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	rows := append(append(append([]row{}, plain...), lookups...), unsure...)
	var text strings.Builder
	fmt.Fprintf(&text, "table inet t {\n%s\n", sets)
	for i, r := range rows {
		fmt.Fprintf(&text, "chain c%d { type filter hook forward priority %d; %s comment \"row\"; }\n", i, i, r.rule)
	}
	set := loaded(t, text.String()+"}\n")
	for i, r := range rows {
		chain := set.Chain("inet", "t", fmt.Sprintf("c%d", i))
		if got := rules.Match(chain.Rules[0], r.packet); got != r.want {
			t.Errorf("%s: %s, want %s; expressions %s", r.rule, got, r.want, exprs(chain.Rules[0]))
		}
	}
	t.Logf("%d rows", len(rows))
}

// What connection tracking knows it does not know before it has seen the packet.
func TestMatchBeforeConntrack(t *testing.T) {
	t.Parallel()
	set := loaded(t, "table inet t {\nchain early {\ntype filter hook prerouting priority -300;\nct state new\n}\nchain late {\ntype filter hook prerouting priority -150;\nct state new\n}\n}\n")
	for name, want := range map[string]rules.Answer{"early": maybe, "late": yes} {
		if got := rules.Match(set.Chain("inet", "t", name).Rules[0], ping()); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func exprs(rule *inspect.Rule) string {
	var text []string
	for _, e := range rule.Exprs {
		text = append(text, fmt.Sprintf("%T%+v", e, e))
	}
	return strings.Join(text, " ")
}
