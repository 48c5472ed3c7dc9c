package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness"
)

// chance is a packet that comes to the goal only if a rule leads it there of which that is not known: a limit that has room.
type chance struct {
	box   box
	point point
	by    *line
}

// mostChances bounds how many a search keeps.
const mostChances = rounds

// note keeps a packet of a box that may come to the goal.
func (s *search) note(b box, p point, r run) {
	if r.mayReach && len(s.chances) < mostChances && !s.isOf(&p, stateEstablished, stateRelated) {
		s.chances = append(s.chances, chance{b, p, r.may})
	}
}

// first is a packet that is to meet the goal. Where none is known that begins a connection, it is one which may meet it: byChance.
func (s *search) first() (p *point, byChance bool) {
	p = s.next()
	if p == nil || s.effects.Tracks && p[fieldState].lo != stateNew {
		if other := s.try(); other != nil {
			return other, true
		}
	}
	return p, false
}

// try is a packet of which it is not known whether it meets the goal.
func (s *search) try() *point {
	if len(s.chances) == 0 {
		return nil
	}
	first := s.chances[0]
	s.chances, s.by = s.chances[1:], first.by
	s.open = append(s.open, first.box) // for refuse
	return &first.point
}

// refill asks twins that have met no packet yet about rules behind a limit: its room was taken by other packets.
func (c *cover) refill(ctx context.Context) error {
	if c.fresh == nil {
		return nil
	}
	waiting := c.waiting()
	for range mostAlone {
		if len(waiting) == 0 {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.beside(func(side *cover) error {
			c.askFresh(side, waiting)
			return nil
		})
		if err != nil {
			return err
		}
		left := c.waiting()
		if len(left) == len(waiting) {
			break
		}
		waiting = left
	}
	return nil
}

// waiting are the packets that were tried by chance for rules which met none.
func (c *cover) waiting() (all []*proposal) {
	for _, e := range c.entries {
		if !e.done() && e.chance != nil {
			all = append(all, e.chance)
		}
	}
	return all
}

// askFresh sends packets through the rules of another twin's node.
func (c *cover) askFresh(side *cover, waiting []*proposal) {
	var tasks []*task
	for _, p := range waiting {
		tasks = append(tasks, &task{packet: p.packet, stays: p.stays})
	}
	side.kernel.ask(tasks)
	side.sent += len(tasks)
	for i, t := range tasks {
		side.credit(&t.heard, []Packet{t.packet})
		if t.heard.passed() && t.packet.State == "new" {
			c.passed = append(c.passed, passed{waiting[i].point, waiting[i].search.world})
		}
	}
}

// reopen tries connections in another twin which nothing was let through for, though the like was before: a limit's room was taken by others. Of each rule it is one.
func (c *cover) reopen(ctx context.Context, plans []*plan) error {
	var again []*plan
	for _, p := range plans {
		tried := slices.ContainsFunc(again, func(other *plan) bool { return other.entry == p.entry })
		if p.shut && !p.entry.done() && !tried {
			again = append(again, &plan{entry: p.entry, world: p.world, points: p.points, quotes: p.quotes})
		}
	}
	if len(again) == 0 || c.fresh == nil || !c.remembers {
		return nil
	}
	return c.beside(func(side *cover) error { return side.follow(ctx, again) })
}

// beside calls a function with the node of another twin, whose rules are known as those that they are here.
func (c *cover) beside(f func(side *cover) error) error {
	err := c.fresh(func(twin *harness.Node) error {
		side, err := c.alike(twin)
		if err != nil {
			return err
		}
		defer side.kernel.close()
		err = f(side)
		c.sent += side.sent
		return err
	})
	if err != nil {
		return fmt.Errorf("ask alone: %w", err)
	}
	return nil
}
