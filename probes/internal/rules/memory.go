package rules

import (
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness/inspect"
)

// Kind is what kind of thing a rule's decision depends on, besides the packet.
type Kind int

const (
	// Period counts packets: each Memory.Period-th is treated alike.
	Period Kind = iota + 1
	// Chance is a random number, or a hash of what differs from flow to flow.
	Chance
	// Rate is how much came lately, or came in all: limit, quota.
	Rate
	// History is what came before: dynamic sets, counts of connections, of their packets.
	History
	// Clock is the time of day, or the date, or what ends by itself after a time.
	Clock
	// Users is who sent it: a user, a group, a control group.
	Users
	// Unread is what cannot be read: it may depend on anything.
	Unread
)

// ByUser is the text of a Memory about the user alone.
const ByUser = "the user that sent it"

// String is the word.
func (k Kind) String() string {
	return [...]string{"nothing", "period", "chance", "rate", "history", "clock", "users", "unread"}[k]
}

// Memory is what a rule's decision depends on, besides the packet.
type Memory struct {
	Kind Kind
	// Period is after how many packets it begins again, for a Period.
	Period int
	// Text says it: "a limit of 1 a minute".
	Text string
	// Rule is its place.
	Rule fmt.Stringer
}

// String is `rule 3 of inet filter forward depends on a limit of 1 a minute`.
func (m Memory) String() string {
	if m.Rule == nil {
		return m.Text
	}
	return fmt.Sprintf("%s depends on %s", m.Rule, m.Text)
}

// Remembers says what makes a rule decide otherwise about the same packet another time.
// A rule that decides nothing, which only counts or logs, remembers nothing.
func Remembers(rule *inspect.Rule) (Memory, bool) {
	if !consequent(rule) {
		return Memory{}, false
	}
	var users Memory
	for _, e := range rule.Exprs {
		m := MemoryOf(rule, e)
		m.Rule = rule
		switch m.Kind {
		case 0:
		case Users:
			users = m
		default:
			return m, true
		}
	}
	return users, users.Kind != 0
}

// consequent says whether it matters to a packet that the rule matches: it ends or
// turns its way, or changes what later rules see.
func consequent(rule *inspect.Rule) bool {
	for _, e := range rule.Exprs {
		switch e := e.(type) {
		case *expr.Verdict, *expr.Reject, *expr.Queue, *expr.SynProxy:
			return true
		case *expr.Lookup:
			if set := rule.Chain.Table.Sets[e.SetName]; e.IsDestRegSet && set != nil && set.Verdicts {
				return true
			}
		case *expr.Target:
			if targetEnds(e.Name) != goesOn {
				return true
			}
		case *inspect.Opaque:
			if opaqueMemory(e).Kind != 0 {
				return true
			}
		}
	}
	return alters(rule) != 0 || copies(rule)
}

// MemoryOf is what one expression depends on; of kind 0 where that is the packet alone.
func MemoryOf(rule *inspect.Rule, e any) Memory {
	switch e := e.(type) {
	case *expr.Limit:
		return Memory{Kind: Rate, Text: limitText(e)}
	case *expr.Quota:
		return Memory{Kind: Rate, Text: fmt.Sprintf("a quota of %d bytes", e.Bytes)}
	case *expr.Connlimit:
		return Memory{Kind: History, Text: "how many connections there are"}
	case *expr.Numgen:
		return numgen(e)
	case *expr.Hash:
		return Memory{Kind: Chance, Text: fmt.Sprintf("a hash of the packet, in %d parts", e.Modulus)}
	case *expr.Dynset:
		return dynsetMemory(e)
	case *expr.Lookup:
		return setMemory(rule.Chain.Table.Sets[e.SetName])
	case *expr.Ct:
		return ctMemory(e)
	case *expr.Meta:
		return metaMemory(e)
	case *expr.Socket:
		if e.Key == expr.SocketKeyCgroupv2 {
			return Memory{Kind: Users, Text: "the control group that sent it"}
		}
	case *expr.Objref:
		return objectMemory(e.Type, e.Name)
	case *inspect.ObjectMap:
		if set := rule.Chain.Table.Sets[e.SetName]; set != nil {
			return objectMemory(int(set.ObjectType), "of map "+set.Name)
		}
		return Memory{Kind: Unread, Text: "a map that cannot be read"}
	case *expr.SynProxy:
		return Memory{Kind: History, Text: "what the SYN proxy has seen"}
	case *expr.Match:
		return matchMemory(e, rule.Chain.Table.FillsIPSets)
	case *expr.Target:
		return targetMemory(e.Name)
	case *inspect.Opaque:
		return opaqueMemory(e)
	}
	return Memory{}
}

func limitText(e *expr.Limit) string {
	unit := map[expr.LimitTime]string{expr.LimitTimeSecond: "second", expr.LimitTimeMinute: "minute",
		expr.LimitTimeHour: "hour", expr.LimitTimeDay: "day", expr.LimitTimeWeek: "week"}[e.Unit]
	what := "packets"
	if e.Type == expr.LimitTypePktBytes {
		what = "bytes"
	}
	return fmt.Sprintf("a limit of %d %s a %s", e.Rate, what, unit)
}

func numgen(e *expr.Numgen) Memory {
	const incremental = 0 // NFT_NG_INCREMENTAL
	if e.Type == incremental {
		return Memory{Kind: Period, Period: int(e.Modulus), Text: fmt.Sprintf("which of %d packets in turn it is", e.Modulus)}
	}
	return Memory{Kind: Chance, Text: fmt.Sprintf("a random number out of %d", e.Modulus)}
}

// dynsetMemory is that of a meter: adding to a set can fail, and what comes with an
// element can stop the rule.
func dynsetMemory(e *expr.Dynset) Memory {
	for _, x := range e.Exprs {
		if limit, ok := x.(*expr.Limit); ok {
			return Memory{Kind: Rate, Text: limitText(limit) + " for each element of set " + e.SetName}
		}
	}
	return Memory{Kind: History, Text: "what rules put into set " + e.SetName}
}

func setMemory(set *inspect.Set) Memory {
	switch {
	case set == nil:
		return Memory{Kind: Unread, Text: "a set that cannot be read"}
	case set.Updated:
		return Memory{Kind: History, Text: "what rules put into set " + set.Name}
	case set.Stateful:
		return Memory{Kind: Rate, Text: "the state of the elements of set " + set.Name}
	case set.Expires():
		return Memory{Kind: Clock, Text: "the timeouts of the elements of set " + set.Name}
	}
	return Memory{}
}

// expiry is what a rule depends on that asks how long a connection is kept.
const expiry = "how long its connection is kept without packets"

func ctMemory(e *expr.Ct) Memory {
	const id = 23 // NFT_CT_ID
	if e.SourceRegister {
		return Memory{}
	}
	switch e.Key {
	case expr.CtKeyPKTS, expr.CtKeyBYTES, expr.CtKeyAVGPKT:
		return Memory{Kind: History, Text: "how much its connection has carried"}
	case expr.CtKeyEXPIRATION:
		return Memory{Kind: History, Text: expiry}
	case id:
		return Memory{Kind: Chance, Text: "the number of its connection"}
	}
	return Memory{}
}

func metaMemory(e *expr.Meta) Memory {
	const timeNS, day, hour = 30, 31, 32 // NFT_META_TIME_*
	if e.SourceRegister {
		return Memory{}
	}
	switch e.Key {
	case expr.MetaKeySKUID:
		return Memory{Kind: Users, Text: ByUser}
	case expr.MetaKeySKGID:
		return Memory{Kind: Users, Text: "the group that sent it"}
	case expr.MetaKeyCGROUP:
		return Memory{Kind: Users, Text: "the control group that sent it"}
	case expr.MetaKeyPRANDOM:
		return Memory{Kind: Chance, Text: "a random number"}
	case expr.MetaKeyCPU:
		return Memory{Kind: Chance, Text: "the processor that it came to"}
	case timeNS, day, hour:
		return Memory{Kind: Clock, Text: "the time"}
	}
	return Memory{}
}

func objectMemory(kind int, name string) Memory {
	switch kind {
	case objectQuota:
		return Memory{Kind: Rate, Text: "quota " + name}
	case objectLimit:
		return Memory{Kind: Rate, Text: "limit " + name}
	case objectConns:
		return Memory{Kind: History, Text: "how many connections there are (" + name + ")"}
	case objectSynproxy:
		return Memory{Kind: History, Text: "what the SYN proxy has seen"}
	}
	return Memory{}
}

// opaqueMemory is that of an expression which is not known in full: of some it is known
// that they look at nothing but the packet.
func opaqueMemory(e *inspect.Opaque) Memory {
	if e.Name == "fwd" || Idle(e.Name) || slices.Contains(conditions, e.Name) {
		return Memory{}
	}
	return Memory{Kind: Unread, Text: fmt.Sprintf("an expression that is not known (%s)", e.Name)}
}
