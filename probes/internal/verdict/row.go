package verdict

import (
	"errors"
	"strings"

	"github.com/nstest/nstest/probes/evidence"
)

// row is all that is known of a kind of cause.
type row struct {
	kind evidence.Kind
	// verb is what became of the packet: "the request was dropped at fw".
	verb string
	// mend is what to do about it in a test that did not want it: "bring the interface
	// up"; "" of what somebody always wanted.
	mend string
	// policy says whether somebody wants it so: always, never, or by what is known.
	policy func(spot, evidence.Cause) bool
	// passes says whether it may be over by itself; nil where it never is.
	passes func(spot, evidence.Cause) bool
	// at are the stages where it can happen. The function says whether it accounts for
	// the packet's end there, and gives the cause its detail, and another place where
	// that is not the spot's. It may leave the kind Unknown, with what is in doubt.
	at map[stage]func(spot, *evidence.Cause) bool
	// needs is what must be read to know it.
	needs need
	// sysctls are those that must be read, below /proc/sys; * is the interface where
	// the packet came in.
	sysctls []string
	// confirmed says which of the kernel's counters moves when it is so.
	confirmed confirmation
	// lift is what takes it away; unliftable is why nothing does.
	lift       func(evidence.Cause) Deed
	unliftable string
}

// confirmation is what shows a cause to be true that state only suggests.
type confirmation struct {
	// counters are of the node's namespace, as in /proc/net/snmp, netstat and snmp6:
	// "Ip.InAddrErrors". One of them moves.
	counters []string
	// ends are those of which one moves when the target's kernel ends a request that came
	// in, and hands it to nobody; nil where it does not do that.
	ends []string
	// otherwise is what else shows it, or why nothing does.
	otherwise string
}

// need is something that must be read.
type need uint

const (
	needPackets    need = 1 << iota // what interfaces saw
	needRules                       // what rules did
	needPlan                        // what the network was to be
	needHeard                       // what the prober heard
	needLinks                       // interfaces, also at the other ends
	needAddrs                       // addresses
	needRoutes                      // routes
	needLookups                     // the kernel's lookups of them
	needNeighbours                  // neighbour entries
	needSockets                     // who listens
	needXfrm                        // policies of xfrm
)

func always(spot, evidence.Cause) bool { return true }
func never(spot, evidence.Cause) bool  { return false }

// rowOf is the row of a kind; nil when there is none.
func rowOf(kind evidence.Kind) *row {
	for _, r := range order {
		if r.kind == kind {
			return r
		}
	}
	return nil
}

// Sysctls are those that deciding about packets needs which came in at the
// interfaces, below /proc/sys.
func Sysctls(interfaces ...string) (keys []string) {
	had := map[string]bool{}
	add := func(key string) {
		if !had[key] {
			had[key] = true
			keys = append(keys, key)
		}
	}
	for _, r := range order {
		for _, key := range r.sysctls {
			if !strings.Contains(key, "*") {
				add(key)
				continue
			}
			for _, name := range interfaces {
				add(strings.ReplaceAll(key, "*", name))
			}
		}
	}
	return keys
}

// Confirming are the counters of which one moves when a cause of that kind is so,
// as in /proc/net/snmp, netstat and snmp6: "Ip.InAddrErrors".
func Confirming(kind evidence.Kind) []string {
	if r := rowOf(kind); r != nil {
		return r.confirmed.counters
	}
	return nil
}

// ConfirmingEnd are the counters of which one moves when the target's kernel ended a request
// that came in there, by a cause of that kind; nil where such a cause is no end of it.
func ConfirmingEnd(kind evidence.Kind) []string {
	if r := rowOf(kind); r != nil {
		return r.confirmed.ends
	}
	return nil
}

// Kinds are those that a cause may be of, Unknown at the end.
func Kinds() (kinds []evidence.Kind) {
	for _, r := range order {
		kinds = append(kinds, r.kind)
	}
	return append(kinds, evidence.Unknown)
}

// Counted are the kinds that counters confirm.
func Counted() (kinds []evidence.Kind) {
	for _, r := range order {
		if len(r.confirmed.counters) > 0 {
			kinds = append(kinds, r.kind)
		}
	}
	return kinds
}

// Mend is what to do about a cause of that kind in a test that did not want it; "" of
// what is always somebody's policy.
func Mend(kind evidence.Kind) string {
	if r := rowOf(kind); r != nil {
		return r.mend
	}
	return ""
}

// LiftOf is what takes a policy away at its node.
func LiftOf(c evidence.Cause) (Deed, error) {
	r := rowOf(c.Kind)
	switch {
	case r == nil || !c.Policy && c.Discovery == nil:
		return nil, errors.New("it is no policy")
	case r.lift == nil:
		return nil, errors.New(r.unliftable)
	}
	return r.lift(c), nil
}
