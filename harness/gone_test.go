package harness_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

type goneKey struct{}

// withGuest is a lab to which a change has added a guest, and what takes it away again.
func withGuest(t *testing.T) (lab *harness.Lab, guest *harness.Node, leaves func() error) {
	t.Helper()
	network := topo.New("guests")
	lan := network.Switch("lan", "10.0.1.0/24")
	network.Host("alice", lan)
	network.Host("bob", lan)
	lab = harness.Up(t, network)
	if err := lab.Change(func(n *topo.Network) { n.Host("guest", n.Segment("lan")) }); err != nil {
		t.Fatal(err)
	}
	return lab, lab.Node("guest"), func() error {
		return lab.Change(func(n *topo.Network) { n.Remove(n.Node("guest")) })
	}
}

func TestWhatANodeKeepsEndsWithIt(t *testing.T) {
	t.Parallel()
	lab, guest, leaves := withGuest(t)
	var ran []string
	notes := func(what string) func() {
		return func() {
			if err := guest.Do(func() error { return nil }); err != nil {
				what += " (" + err.Error() + ")"
			}
			ran = append(ran, what)
		}
	}
	made := 0
	next := func() any { made++; return made }
	guest.OnGone(notes("first"))
	lab.OnDown(notes("the lab"))
	lab.Node("bob").OnGone(notes("bob"))
	guest.OnGone(notes("last"))
	guest.OnGone(nil)
	if one, other := guest.Keep(goneKey{}, next), lab.Node("bob").Keep(goneKey{}, next); one != 1 || other != 2 || guest.Keep(goneKey{}, next) != 1 {
		t.Errorf("they keep %v and %v", one, other)
	}
	if err := leaves(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ran, ", "); got != "last, first" {
		t.Errorf("when the guest went, ran: %s", got)
	}
	guest.OnGone(notes("late"))
	if guest.Keep(goneKey{}, next) != 3 || guest.Keep(goneKey{}, next) != 4 || lab.Node("bob").Keep(goneKey{}, next) != 2 {
		t.Error("a node that is gone keeps something, or another no more")
	}
	lab.Down()
	const want = "last, first, late (it was taken out of the lab), bob (it was taken out of the lab), the lab (it was taken out of the lab)"
	if got := strings.Join(ran, ", "); got != want {
		t.Errorf("ran: %s\nwant %s", got, want)
	}
}

func TestANodeThatWasTakenAwaySaysSo(t *testing.T) {
	t.Parallel()
	lab, guest, leaves := withGuest(t)
	if err := guest.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
	if err := leaves(); err != nil {
		t.Fatal(err)
	}
	nothing := func() error { return nil }
	for what, err := range map[string]error{
		"Do":      guest.Do(nothing),
		"Visit":   harness.Visit([]*harness.Node{guest}, func(*harness.Node) error { return nil }),
		"later":   harness.Visit([]*harness.Node{lab.Node("bob"), guest}, func(*harness.Node) error { return nil }),
		"Command": guest.Command("true").Run(),
		"Sysctl":  guest.SetSysctl("net.ipv4.ip_forward", "1"),
	} {
		if err == nil || !strings.HasSuffix(err.Error(), "it was taken out of the lab") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := guest.Netlink().LinkList(); err == nil {
		t.Error("its links can be listed")
	}
	lab.Down()
	if err := lab.Node("bob").Do(nothing); err == nil || err.Error() != "the lab is down" {
		t.Errorf("of another node: %v", err)
	}
}

// A panic in what was registered goes to who changes the lab; the node is gone all the same.
func TestANodeGoesWhereOnGonePanics(t *testing.T) {
	t.Parallel()
	_, guest, leaves := withGuest(t)
	pid := sleeper(t, guest)
	guest.OnGone(func() { panic("oh") })
	said := func() (said any) {
		defer func() { said = recover() }()
		return errors.Join(leaves())
	}()
	if said != "oh" || alive(pid) || guest.Do(func() error { return nil }) == nil {
		t.Errorf("it says %v; its program is left: %v", said, alive(pid))
	}
}
