package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/account"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Filtered is the filter of tc that drops packets like the trail's, which again sends once more:
// the kernel counts what an interface's filters drop. It is the zero Filter where none does.
func (w *Watch) Filtered(t *Trail, heard Heard, again func() (*Trail, error)) verdict.Filter {
	points := w.filtering(t)
	before := filterDrops(points)
	if len(before) == 0 {
		return verdict.Filter{}
	}
	w.tries.turn.Lock()
	defer w.tries.turn.Unlock()
	begun := time.Now()
	w.judging(true, nil)
	defer w.judging(false, nil)
	second, err := again()
	if err != nil {
		return verdict.Filter{}
	}
	after := filterDrops(points)
	for _, p := range points {
		for link, drops := range after {
			if link.at != p || drops <= before[link] || !w.alone(p, []*try{{second: second}}, begun) {
				continue
			}
			for _, f := range p.filters(link.index) {
				heard.Filter = f
				if c := w.Explain(second, heard); c.Kind == evidence.Filter {
					return f
				}
			}
		}
	}
	return verdict.Filter{}
}

// filtering are the nodes that a trail's packets came by or were to come by, and its ends.
func (w *Watch) filtering(t *Trail) (points []*point) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := w.accountOf(t)
	labels := slices.Concat(a.Touched(account.Request), a.Touched(account.Answer), []string{t.Flow.From, t.Flow.To})
	slices.Sort(labels)
	for _, label := range slices.Compact(labels) {
		if p := w.byLabel[label]; p != nil {
			points = append(points, p)
		}
	}
	return points
}

// filteredLink is an interface with filters of tc.
type filteredLink struct {
	at    *point
	index int
}

// filterDrops are what filters have dropped, by interface; none of a node that cannot be read.
func filterDrops(points []*point) map[filteredLink]uint32 {
	dropped := map[filteredLink]uint32{}
	for _, p := range points {
		qdiscs, _ := p.node.Netlink().QdiscList(nil)
		for _, q := range qdiscs {
			hasFilters := q.Type() == "clsact" || q.Type() == "ingress" // and queues nothing (tc(8))
			if a := q.Attrs(); hasFilters && a.Statistics != nil && a.Statistics.Queue != nil {
				dropped[filteredLink{p, a.LinkIndex}] += a.Statistics.Queue.Drops
			}
		}
	}
	return dropped
}

// filters are those of an interface, of each direction that has some; where none can be read,
// of both.
func (p *point) filters(index int) (found []verdict.Filter) {
	link, err := p.node.Netlink().LinkByIndex(index)
	if err != nil {
		return nil
	}
	var unread []verdict.Filter
	for _, hook := range []struct {
		direction evidence.Direction
		parent    uint32
		name      string
	}{{evidence.In, netlink.HANDLE_MIN_INGRESS, "ingress"}, {evidence.Out, netlink.HANDLE_MIN_EGRESS, "egress"}} {
		at := verdict.Filter{At: verdict.End{Node: p.label, Interface: link.Attrs().Name}, Direction: hook.direction, Words: "tc " + hook.name}
		filters, err := p.node.Netlink().FilterList(link, hook.parent)
		if err != nil || len(filters) == 0 {
			unread = append(unread, at)
			continue
		}
		var words []string
		for _, f := range filters {
			words = append(words, filterWords(f))
		}
		at.Words += ": " + strings.Join(words, "; ")
		at.All = len(filters) == 1 && dropsAll(filters[0])
		found = append(found, at)
	}
	if len(found) == 0 {
		return unread
	}
	return found
}

// filterWords are a filter's, as tc(8) shows it.
func filterWords(f netlink.Filter) string {
	a := f.Attrs()
	text := fmt.Sprintf("filter protocol %s pref %d %s handle %#x", protocolName(a.Protocol), a.Priority, f.Type(), a.Handle)
	if b, is := f.(*netlink.BpfFilter); is && b.Name != "" {
		text += " " + b.Name
	}
	return text
}

func protocolName(protocol uint16) string {
	switch protocol {
	case unix.ETH_P_ALL:
		return "all"
	case unix.ETH_P_IP:
		return "ip"
	case unix.ETH_P_IPV6:
		return "ipv6"
	case unix.ETH_P_ARP:
		return "arp"
	}
	return fmt.Sprintf("%#x", protocol)
}

// dropsAll says whether a filter drops whatever comes.
func dropsAll(f netlink.Filter) bool {
	all, is := f.(*netlink.MatchAll)
	if !is || len(all.Actions) != 1 || all.Protocol != unix.ETH_P_ALL && all.Protocol != unix.ETH_P_IP && all.Protocol != unix.ETH_P_IPV6 {
		return false
	}
	action, plain := all.Actions[0].(*netlink.GenericAction)
	return plain && action.Action == netlink.TC_ACT_SHOT
}
