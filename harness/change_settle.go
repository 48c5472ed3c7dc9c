package harness

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/nstest/nstest/topo"
)

// settleLinks returns when a first packet passes on what is new: see ready. Who is there
// already may have rules by then that drop a question for a neighbour, or the answer, so
// the ends are asked about themselves where the kernel says enough.
func (t *transition) settleLinks() error {
	if err := t.requests(t.site.fabric, t.fabricLater); err != nil {
		return err
	}
	if err := t.site.carriers(t.added); err != nil {
		return err
	}
	var questions []question
	for _, where := range t.added {
		voice := t.site.voice(where)
		if err := t.usable(voice); err != nil {
			return at(err, "node %s: port %s", voice.node, voice.port)
		}
		questions = append(questions, t.questions(voice)...)
		t.addressed[voice] = false
	}
	for where, yes := range t.addressed {
		if yes {
			if err := t.usable(t.site.voice(where)); err != nil {
				return at(err, "node %s: port %s", where.node, where.port)
			}
		}
	}
	return answered(questions)
}

// carriers makes the kernel act on the carrier of both ends of ports that are new.
func (s *site) carriers(ports []spot) error {
	fabric, own := new(batch), map[string]*batch{}
	for _, where := range ports {
		if outer, on := s.outer[where]; on {
			fabric.getLink(outer, describe("switch: look at port %s of %s", where.port, where.node))
		}
		if own[where.node] == nil {
			own[where.node] = new(batch)
		}
		own[where.node].getLink(s.indexes[where], describe("port %s: look at link", where.port))
	}
	if len(fabric.what) > 0 {
		if err := s.fabric.rtnl.do(fabric); err != nil {
			return err
		}
	}
	for node, b := range own {
		if err := s.grounds[node].rtnl.do(b); err != nil {
			return at(err, "node %s", node)
		}
	}
	return nil
}

// usable waits for an interface's addresses, and has its neighbours forget them.
func (t *transition) usable(where spot) error {
	d := t.site.device(where)
	if opens(d.Kind) != 0 {
		return t.site.grounds[where.node].settleTun(d)
	}
	addrs := append(addrsOf(d.Addrs), t.site.linkLocals(where)...)
	if err := t.site.grounds[where.node].usable(d.Index, addrs...); err != nil {
		return err
	}
	return t.lab.announced(t.site, where, addrs...)
}

// questions are what an interface that is new asks one on its link that is up, where the
// kernel does not say that its carrier is settled; in IPv4, of which rules see nothing.
func (t *transition) questions(where spot) []question {
	d := t.site.device(where)
	if carrierBarrier() && d.Kind == topo.PortKind || d.Segment == "" || t.site.isQuiet(where) {
		return nil
	}
	for _, peer := range t.site.peers(where) {
		if up, err := t.site.grounds[peer.node].isUp(t.site.indexes[peer]); err != nil || !up || !t.lab.bridges(where, peer) {
			continue
		}
		var all []question
		for _, q := range []question{t.ask(d.Segment, where, peer), t.ask(d.Segment, peer, where)} {
			if q.target.IsValid() && q.source.IsValid() {
				all = append(all, q)
			}
		}
		return all
	}
	return nil
}

// ask is the question of one for the first IPv4 address of another.
func (t *transition) ask(segment string, asker, of spot) question {
	addrs := t.site.device(of).Addrs
	if at := slices.IndexFunc(addrs, func(p netip.Prefix) bool { return p.Addr().Is4() }); at >= 0 {
		return t.site.question(segment, asker, of, addrs[at].Addr())
	}
	return question{}
}

// settleNodes brings in what a network that is there allows: sysctls, rules and what was
// chosen of switches' ends. Rules are last, for they cannot be taken back.
func (t *transition) settleNodes() error {
	if err := t.site.giveSwitches(t.added); err != nil {
		return err
	}
	if err := t.impair(); err != nil {
		return err
	}
	if err := t.kept(t.sysctls); err != nil {
		return err
	}
	for i := range t.plan.Nodes {
		if node := &t.plan.Nodes[i]; t.fresh[node.Name] {
			if err := t.next.byName[node.Name].settle(); err != nil {
				return at(err, "%s", title(node))
			}
		}
	}
	loaded := false
	return t.kept(func(before, after *topo.NodePlan) error {
		for _, rules := range after.Rulesets[len(before.Rulesets):] {
			if err := t.next.byName[after.Name].load(rules); err != nil {
				if loaded {
					return errors.Join(err, errLoaded)
				}
				return err
			}
			loaded = true
		}
		return nil
	})
}

var errLoaded = errors.New("the texts of rules that were loaded before this one stay")

// sysctls sets those of a node that are new or otherwise.
func (t *transition) sysctls(before, after *topo.NodePlan) error {
	set := lacking(after.Sysctls, before.Sysctls)
	if before.Forward != after.Forward {
		set = append(forwarding(after.Forward, t.site.ipv6), set...)
	}
	if len(set) == 0 {
		return nil
	}
	node := t.next.byName[after.Name]
	return node.Do(func() error {
		for _, s := range set {
			was, err := readSysctl(s.Key)
			if err != nil {
				return err
			}
			if err := writeSysctl(s.Key, s.Value); err != nil {
				return err
			}
			t.did(func() error { return node.Do(func() error { return writeSysctl(s.Key, was) }) })
		}
		return nil
	})
}
