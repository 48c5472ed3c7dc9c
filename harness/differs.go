package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness/inspect"
)

// Differs says in what two nodes, of one lab or of two, are not the same of all that decides about packets which come to them; ""
// where that is the same: interfaces and whether they are up, addresses, routes, policy routing rules, neighbours that are permanent, the
// rules of nftables and of iptables of both kinds with all elements of their sets, sets of ipset, sysctls, bridges, tunnels. What counts
// packets, the kernel's numbers of rules, connections, and what the two are called does not matter.
//
// Where it is not "" they may do the same all the same: what queues, filters of tc, programs of XDP, xfrm or IPVS do is not
// read, and differs where a node has any of these. The error is that something could not be read.
func (n *Node) Differs(other *Node) (string, error) {
	n, other = n.here(), other.here()
	for _, of := range []*Node{n, other} {
		if err := of.lab.exists(); err != nil {
			return "", at(err, "node %s: differs", of.name)
		}
	}
	mine, its, err := bothGrounds(n.ground, other.ground, decisionOf)
	if err != nil {
		return "", at(err, "node %s: differs", n.name)
	}
	var parts []string
	if text := mine.listed.differs(its.listed); text != "" {
		parts = append(parts, text)
	}
	for _, title := range slices.Sorted(maps.Keys(mine.raw)) {
		if !slices.Equal(mine.raw[title], its.raw[title]) {
			parts = append(parts, title+": not the same")
		}
	}
	for _, of := range []decision{mine, its} {
		parts = append(parts, of.unread...)
	}
	return strings.Join(parts, "; "), nil
}

// decision is what decides about a namespace's packets: as text, as the kernel lists it, and what of it is not read.
type decision struct {
	listed, raw shape
	unread      []string
}

// decisionOf reads a namespace's.
func decisionOf(g *ground) (d decision, err error) {
	if d.listed, err = shapeOf(g, lastingParts); err != nil {
		return d, err
	}
	for _, part := range lastingParts {
		if part.vague && strings.Join(d.listed[part.title], "") != "" {
			d.unread = append(d.unread, part.title+": what it does is not read")
		}
	}
	err = withState(context.Background(), g, func(s *state) error {
		read, err := s.in.Decisive()
		if err != nil {
			return err
		}
		d.raw, d.unread = read.Parts, append(d.unread, read.Unread...)
		if strings.Join(d.listed[ofLegacy], "") != "" && len(d.raw[inspect.PartNftables]) > 0 {
			d.unread = append(d.unread, "which of iptables-legacy and nftables comes first, at the same priority")
		}
		d.raw["sysctls of links"], err = linkSysctls()
		return err
	})
	return d, err
}

// linkSysctls are all that the links of the calling thread's namespace have.
func linkSysctls() (lines []string, err error) {
	for _, folder := range []string{"net/ipv4/conf", "net/ipv6/conf"} {
		err = errors.Join(err, filepath.WalkDir(sysctlRoot+folder, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // a kernel without IPv6
			case err != nil:
				return err
			case entry.Type().IsRegular() && entry.Name() != "stable_secret":
				lines = append(lines, fmt.Sprintf("%s = %s", strings.TrimPrefix(path, sysctlRoot), strings.TrimSpace(slurp(path))))
			}
			return nil
		}))
	}
	return lines, err
}
