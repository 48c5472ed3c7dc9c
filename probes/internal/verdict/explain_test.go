package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
	"golang.org/x/sys/unix"
)

// row is a scene, what happened in it, and what is to be said about it.
type example struct {
	protocol wire.Protocol
	v6       bool
	happen   func(*scene)
	kind     evidence.Kind
	word     string
	text     string
	policy   bool
}

func explained(t *testing.T, rows map[string]example) {
	t.Helper()
	for name, r := range rows {
		if r.protocol == 0 {
			r.protocol = wire.UDP
		}
		s := newScene(r.protocol, r.v6)
		r.happen(s)
		c := Explain(s.Observation)
		if c.Kind != r.kind || c.Word() != r.word || c.String() != r.text || c.Policy != r.policy {
			t.Errorf("%s:\n got %s, %s, policy %v: %s\nwant %s, %s, policy %v: %s", name, c.Kind, c.Word(), c.Policy, c, r.kind, r.word, r.policy, r.text)
		}
	}
}

// sniffed is a request of which another node got a copy, with its rules' sighting of
// it; forwarding is that node's.
func (s *scene) sniffed(forwarding string) *evidence.Sighting {
	s.node("ids", port{"tap", netip.MustParseAddr("10.0.1.9"), netip.MustParsePrefix("10.0.1.0/24"), nil})
	s.States["ids"].Sysctls["net/ipv4/conf/tap/forwarding"] = forwarding
	s.arrived("server")
	s.see(evidence.Request, "fw/lan out", "ids/tap in")
	seen := s.see(evidence.Request, "ids")
	seen.Index = 2
	return seen
}

var rejecting = evidence.Rule{Family: "ip", Table: "filter", Chain: "FORWARD", Handle: 5, Text: "tcp dport 22 reject", Rejects: true}

func (s *scene) rule(role evidence.Role, node string, rule *evidence.Rule) *evidence.Sighting {
	seen := s.see(role, node)
	seen.Rule = rule
	return seen
}

var ruleRows = map[string]example{
	"a rule": {happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &commented)
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: `the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"a policy": {happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &policy)
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: "the request was dropped at fw by policy drop of inet filter forward"},
	"a reject": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &rejecting)
		s.see(evidence.Refusal, "fw/lan out", "client/lan in")
	}, kind: evidence.Reject, word: "reject@fw", policy: true, text: `the request was rejected at fw by rule "tcp dport 22 reject" of ip filter FORWARD`},
	"the asker's own": {happen: func(s *scene) {
		s.rule(evidence.Request, "client", &commented)
	}, kind: evidence.Drop, word: "drop@client", policy: true, text: `the request was dropped at client by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"the target's": {v6: true, happen: func(s *scene) {
		s.arrived("server")
		s.rule(evidence.Request, "server", &commented)
	}, kind: evidence.Drop, word: "drop@server", policy: true, text: `the request was dropped at server by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"of the answer": {happen: func(s *scene) {
		s.came("fw")
		s.rule(evidence.Answer, "fw", &commented)
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: `the request arrived; the answer was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"of the answer, where one of the request was as well": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &commented)
		s.again()
		s.came("fw")
		s.rule(evidence.Answer, "fw", &policy)
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: "the request arrived; the answer was dropped at fw by policy drop of inet filter forward"},
	"beats all else": {happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &commented)
		s.see(evidence.Refusal, "server/dmz out")
		s.on("fw", "dmz").Up = false
		s.States["fw"].Sysctls["net/ipv4/conf/lan/forwarding"] = "0"
		s.Heard.Errno = unix.ENETUNREACH
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: `the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"one that only looks into packets": {happen: func(s *scene) {
		s.sniffed("0").Rule = &commented
	}, kind: evidence.Unknown, word: "unknown@ids", text: "inconclusive: the request was last seen at ids: a rule dropped it there, off its way"},
	"one that only looks into packets, and ends the next of the connection itself": {happen: func(s *scene) {
		s.sniffed("0").Rule = &commented
		s.again()
		s.sniffed("0")
	}, kind: evidence.NoForward, word: "noforward@ids", text: "the request was not forwarded at ids: net.ipv4.conf.tap.forwarding=0"},
	"a copy at one that looks into packets, and the request itself before": {happen: func(s *scene) {
		s.rule(evidence.Request, "fw", &policy)
		s.sniffed("0").Rule = &commented
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: "the request was dropped at fw by policy drop of inet filter forward"},
	"one that looks into packets on its way": {happen: func(s *scene) {
		s.sniffed("1").Rule = &commented
	}, kind: evidence.Drop, word: "drop@ids", policy: true, text: `the request was dropped at ids by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"one that is not to forward, on the plan's way": {happen: func(s *scene) {
		s.sniffed("0").Rule = &commented
		s.Way = []string{"client", "ids", "server"}
	}, kind: evidence.Drop, word: "drop@ids", policy: true, text: `the request was dropped at ids by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"one that has the address, and is not the target": {happen: func(s *scene) {
		s.sniffed("0").Rule = &commented
		s.States["ids"].Addrs = append(s.States["ids"].Addrs, inspect.Addr{Prefix: netip.PrefixFrom(server4, 32)})
	}, kind: evidence.Conflict, word: "conflict@ids", text: `the request was taken at ids: ids has 10.0.2.1 as well: an address conflict with server; dropped there by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"one that bridges": {happen: func(s *scene) {
		s.sniffed("0").Rule = &commented
		s.on("ids", "tap").Master = 7
	}, kind: evidence.Drop, word: "drop@ids", policy: true, text: `the request was dropped at ids by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
	"the last of two": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &policy)
		s.again()
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &commented)
	}, kind: evidence.Drop, word: "drop@fw", policy: true, text: `the request was dropped at fw by rule "udp dport 53 drop" of inet filter forward ("no dns")`},
}

func TestExplainRules(t *testing.T) {
	t.Parallel()
	explained(t, ruleRows)
	for node, router := range map[string]bool{"client": false, "fw": true, "server": false} {
		s := newScene(wire.UDP, false)
		s.rule(evidence.Request, node, &commented)
		if c := Explain(s.Observation); c.Router != router || c.Rule != &commented || c.Leg != evidence.Request {
			t.Errorf("at %s: %+v", node, c)
		}
	}
}

var openRows = map[string]example{
	"answered": {happen: func(s *scene) {
		s.came("client")
		s.rule(evidence.Request, "fw", &commented) // of one that was sent before
		s.Lost, s.Heard.Answered = "everything", true
	}, text: "inconclusive: "},
	"lost events": {happen: func(s *scene) {
		s.arrived("fw")
		s.rule(evidence.Request, "fw", &commented)
		s.Lost = "node fw: packets were lost at the tap"
	}, kind: evidence.Unknown, word: "unknown", text: "inconclusive: node fw: packets were lost at the tap"},
	"unread states": {happen: func(s *scene) {
		s.arrived("fw")
		s.forget("fw")
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: the node's state was not read"},
	"the asker's state unread": {happen: func(s *scene) { s.forget("client") }, kind: evidence.Unknown, word: "unknown@client",
		text: "inconclusive: the request was last seen at client: the asker's state was not read"},
	"nothing seen": {happen: func(*scene) {}, kind: evidence.Unknown, word: "unknown@client",
		text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"nothing seen, and an error": {happen: func(s *scene) { s.Heard.Errno = unix.EPERM }, kind: evidence.Unknown, word: "unknown@client",
		text: `inconclusive: the request was last seen at client: nothing was seen to leave; the kernel says "operation not permitted"`},
	"nothing asked": {happen: func(s *scene) { clear(s.States["client"].Lookups) }, kind: evidence.Unknown, word: "unknown@client",
		text: "inconclusive: the request was last seen at client: nothing was seen to leave"},
	"on the way": {happen: func(s *scene) { s.arrived("client") }, kind: evidence.Unknown, word: "unknown@client",
		text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"on the way, and nobody to look at": {happen: func(s *scene) {
		s.arrived("client")
		s.forget("fw")
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"at a router": {happen: func(s *scene) { s.arrived("fw") }, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
	"at a router with rules that are not traced": {happen: func(s *scene) {
		s.arrived("fw")
		s.States["fw"].Legacy = true
	}, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end; it has rules of iptables-legacy, which are not traced"},
	"at a router, and no lookup": {happen: func(s *scene) {
		s.arrived("fw")
		clear(s.States["fw"].Lookups)
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: its route was not looked up"},
	"at the target": {happen: func(s *scene) { s.arrived("server") }, kind: evidence.Unknown, word: "unknown@server",
		text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"at the target, and no lookup": {happen: func(s *scene) {
		s.arrived("server")
		clear(s.States["server"].Lookups)
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"},
	"the answer at the router": {happen: func(s *scene) { s.came("fw") }, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request arrived; the answer was last seen at fw/dmz: nothing there accounts for its end"},
	"the answer at the asker": {happen: func(s *scene) { s.came("client") }, kind: evidence.Unknown, word: "unknown@client",
		text: "inconclusive: the request arrived; the answer was last seen at client/lan: it came back to the asker, who did not hear it"},
	// What a switch floods to others is no sighting of the packet's way.
	"flooded": {happen: func(s *scene) {
		s.arrived("client")
		s.see(evidence.Request, "server/dmz in").Foreign = true
	}, kind: evidence.Unknown, word: "unknown@client", text: "inconclusive: the request was last seen at client/lan: it left there, and was seen nowhere else"},
	"sent again": {protocol: wire.TCP, happen: func(s *scene) {
		s.arrived("server")
		s.again()
		s.arrived("fw")
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: nothing there accounts for its end"},
}

func TestExplainWithoutAVerdict(t *testing.T) {
	t.Parallel()
	explained(t, openRows)
}

// refusedAt is a request that came as far as a node, and a refusal of it on its way.
func (s *scene) refusedAt(node string, way ...string) {
	s.arrived(node)
	s.see(evidence.Refusal, way...)
}

var refusalRows = map[string]example{
	"nobody listens": {happen: func(s *scene) {
		s.refusedAt("server", answered...)
		s.States["server"].UDP = nil
	}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
	"nobody listens to TCP": {protocol: wire.TCP, v6: true, happen: func(s *scene) {
		s.refusedAt("server", answered...)
		s.States["server"].Listeners = nil
	}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
	"somebody listens": {protocol: wire.TCP, happen: func(s *scene) { s.refusedAt("server", answered...) }, kind: evidence.Unknown, word: "unknown@server",
		text: "inconclusive: the request was last seen at server/dmz: it sent a refusal, and no rule or route of it is known to"},
	"by the router, which says nothing of it": {protocol: wire.TCP, happen: func(s *scene) { s.refusedAt("fw", "fw/lan out") }, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw/lan: it sent a refusal, and no rule or route of it is known to"},
	"by the router, which has such a route": {happen: func(s *scene) {
		s.refusedAt("fw", "fw/lan out")
		s.routed("fw", unix.RTN_PROHIBIT, unix.EACCES)
	}, kind: evidence.Prohibit, word: "prohibit@fw", policy: true, text: "the request was rejected at fw/lan: prohibit route 10.0.2.0/24"},
	"by one who did not get it": {happen: func(s *scene) {
		s.arrived("client")
		s.see(evidence.Refusal, "fw/lan out")
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw: it sent a refusal, and no request was seen to reach it"},
	"by one who handed it on": {happen: func(s *scene) {
		s.arrived("server")
		s.see(evidence.Refusal, "fw/lan out")
	}, kind: evidence.Unknown, word: "unknown@fw", text: "inconclusive: the request was last seen at fw/lan: it sent a refusal, and no rule or route of it is known to"},
	"by the router, which has such a route, and copied it before": {happen: func(s *scene) {
		s.refusedAt("fw", "fw/lan out")
		s.routed("fw", unix.RTN_PROHIBIT, unix.EACCES)
		s.see(evidence.Request, "fw/dmz out", "server/dmz in")
	}, kind: evidence.Prohibit, word: "prohibit@fw", policy: true, text: "the request was rejected at fw/lan: prohibit route 10.0.2.0/24"},
	"nobody listens, and a copy went on": {happen: func(s *scene) {
		s.refusedAt("server", answered...)
		s.States["server"].UDP = nil
		s.see(evidence.Request, "fw/lan out")
	}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: nobody has port 53"},
	"of nothing": {happen: func(s *scene) { s.see(evidence.Refusal, "fw/lan out") }, kind: evidence.Unknown, word: "unknown@fw",
		text: "inconclusive: the request was last seen at fw: it sent a refusal, and no request was seen to reach it"},
	"by one whose state was not read": {happen: func(s *scene) {
		s.refusedAt("server", answered...)
		s.forget("server")
	}, kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server: its state was not read"},
	"that nobody was seen to send": {happen: func(s *scene) {
		s.refusedAt("fw", "client/lan in")
		s.States["fw"].Sysctls["net/ipv4/conf/lan/forwarding"] = "0"
	}, kind: evidence.NoForward, word: "noforward@fw", text: "the request was not forwarded at fw/lan: net.ipv4.conf.lan.forwarding=0"},
	"of an echo request": {protocol: wire.ICMP, happen: func(s *scene) { s.refusedAt("server", answered...) }, kind: evidence.Unknown, word: "unknown@server",
		text: "inconclusive: the request was last seen at server/dmz: it sent a refusal, and no rule or route of it is known to"},
	// An error about the answer goes to who answered: it is no refusal.
	"of the answer": {happen: func(s *scene) {
		s.came("fw")
		s.see(evidence.Undone, "fw/dmz out", "server/dmz in")
		s.answers("fw", s.Timeline[0].Source, inspect.Lookup{Errno: unix.ENETUNREACH})
	}, kind: evidence.NoRoute, word: "noroute@fw", text: "the request arrived; the answer was not routed at fw/dmz: no route to 10.0.1.1"},
}

func TestExplainRefusals(t *testing.T) {
	t.Parallel()
	explained(t, refusalRows)
}
