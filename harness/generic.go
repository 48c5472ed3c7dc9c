package harness

import (
	"errors"

	"github.com/nstest/nstest/harness/internal/device"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// generic is what the kernel is told of interfaces of a kind that has a family of generic
// netlink of its own.
func (g *ground) generic(of *device.Generic, requests []device.Attributes) error {
	if len(requests) == 0 {
		return nil
	}
	return once(g.enter, func() error {
		family, err := netlink.GenlFamilyGet(of.Family)
		if err != nil {
			return at(err, "find netlink family %s", of.Family)
		}
		for _, attributes := range requests {
			request := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_ACK)
			request.AddData(&nl.Genlmsg{Command: of.Command, Version: of.Version})
			request.AddRawData(attributes)
			if _, err := request.Execute(unix.NETLINK_GENERIC, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// genericOf is what an interface's kind is told by generic netlink; nil for nothing.
func genericOf(d *topo.DevicePlan) *device.Generic {
	if d.Kind == topo.PortKind {
		return nil
	}
	kind, err := device.Of(d.Kind)
	if err != nil {
		return nil // none that was made
	}
	return kind.Generic
}

// tells tells the kernel what an interface that is there is to have, where its kind has a
// family of generic netlink: all of it, or what is other than it was.
func (g *ground) tells(was, d *topo.DevicePlan) error {
	of := genericOf(d)
	if of == nil {
		return nil
	}
	return at(g.generic(of, of.Set(was, d)), "%s %s", d.Kind, d.Name)
}

// greets has an interface that went up again speak to the others.
func (g *ground) greets(d *topo.DevicePlan) error {
	of := genericOf(d)
	if of == nil || of.Greet == nil {
		return nil
	}
	return at(g.generic(of, of.Greet(d)), "%s %s: greet peers", d.Kind, d.Name)
}

// tellsAll does so of all interfaces of a node.
func (s *site) tellsAll(node *topo.NodePlan) error {
	for i := range node.Devices {
		if err := s.grounds[node.Name].tells(nil, &node.Devices[i]); err != nil {
			return err
		}
	}
	return nil
}

// generics tells of interfaces that are new, and of those that are otherwise.
func (t *transition) generics(before, after *topo.NodePlan) error {
	g := t.site.grounds[after.Name]
	for i := range after.Devices {
		d := &after.Devices[i]
		was := byIndex(before, d.Index)
		if was != nil { // else it goes with the interface
			t.did(func() error { return g.tells(d, was) })
		}
		if err := g.tells(was, d); err != nil {
			return err
		}
	}
	return nil
}

// retold tells of interfaces that were taken away, and made again.
func (s *site) retold(back []spot) error {
	var errs []error
	for _, where := range back {
		errs = append(errs, s.grounds[where.node].tells(nil, s.device(where)))
	}
	return errors.Join(errs...)
}
