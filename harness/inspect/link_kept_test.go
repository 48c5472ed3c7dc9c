package inspect_test

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
)

// Links that are kept are not asked for again, and are as they are after each change.
func TestKeptLinks(t *testing.T) {
	t.Parallel()
	node := harness.Up(t, office(plain)).Node("fw")
	handle, kept := node.Netlink(), new(inspect.KeptLinks)
	t.Cleanup(kept.Close)
	read := func(ns inspect.Namespace) []inspect.Link {
		t.Helper()
		links, err := kept.Read(ns)
		if err != nil {
			t.Fatal(err)
		}
		return links
	}
	whole := inspect.Namespace{Do: node.Do, Handle: handle}
	_ = read(whole)
	deaf := inspect.Namespace{Do: node.Do, Handle: &netlink.Handle{}} // with which nothing can be asked
	if links := read(deaf); len(links) != 3 {
		t.Errorf("%d links", len(links))
	}
	link := func(name string) netlink.Link {
		t.Helper()
		l, err := handle.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	changes := map[string]func() error{
		"one more": func() error { return handle.LinkAdd(&netlink.Veth{LinkAttrs: attrsOf("new0"), PeerName: "new1"}) },
		"up":       func() error { return handle.LinkSetUp(link("new0")) },
		"renamed":  func() error { return handle.LinkSetName(link("new1"), "newer") },
		"a bridge": func() error { return handle.LinkAdd(&netlink.Bridge{LinkAttrs: attrsOf("br")}) },
		"a port":   func() error { return handle.LinkSetMaster(link("new0"), link("br")) },
		"gone":     func() error { return handle.LinkDel(link("new0")) },
		"many": func() error {
			for i := range 100 {
				if err := handle.LinkSetAlias(link("br"), fmt.Sprint("alias ", i)); err != nil {
					return err
				}
			}
			return handle.LinkSetDown(link("br"))
		},
	}
	for _, name := range []string{"one more", "up", "renamed", "a bridge", "a port", "gone", "many"} {
		if err := changes[name](); err != nil {
			t.Fatal(name, err)
		}
		links, err := whole.Links()
		if err != nil {
			t.Fatal(err)
		}
		if got := prompt(read(whole)); !reflect.DeepEqual(got, prompt(links)) {
			t.Errorf("%s: %v, want %v", name, got, prompt(links))
		}
	}
	kept.Close()
	kept.Close()
	if _, err := kept.Read(whole); err == nil {
		t.Error("links of a namespace that nobody keeps")
	}
}

func attrsOf(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

// prompt is of links what the kernel tells at once.
func prompt(links []inspect.Link) (all []string) {
	for _, l := range links {
		all = append(all, fmt.Sprint(l.Index, l.Name, l.Kind, l.Up, l.Master))
	}
	return all
}
