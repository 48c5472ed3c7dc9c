package probes

import (
	"fmt"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
)

type linksKey struct{ node *harness.Node }

// linksOf are a node's interfaces, which its lab keeps: only those of their fields count that
// the kernel tells of at once.
func linksOf(node *harness.Node, ns inspect.Namespace) ([]inspect.Link, error) {
	kept := node.Lab().Keep(linksKey{node}, func() any {
		k := new(inspect.KeptLinks)
		node.Lab().OnDown(k.Close)
		return k
	}).(*inspect.KeptLinks)
	links, err := kept.Read(ns)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}
