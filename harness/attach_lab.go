package harness

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Existing is a network namespace that somebody else made: a container's, a sandbox's,
// one of `ip netns add`. Exactly one of PID, PIDFD, Path and NetNS says which.
type Existing struct {
	// Name is what the lab calls the node.
	Name string
	// PID is a process that is in the namespace.
	PID int
	// PIDFD is a descriptor of such a process (pidfd_open(2)); it stays the caller's.
	PIDFD int
	// Path is the namespace's file: /proc/PID/ns/net, or a bind mount of it.
	Path string
	// NetNS is its name in /run/netns, as ip-netns(8) has it.
	NetNS string
	// Traced allows a table in the namespace's nftables, by which a watch has the kernel
	// tell what rules do. It is owned (NFT_TABLE_F_OWNER, Linux 5.12): it goes when the
	// lab does, and with the process when that is killed. nft's JSON output of a ruleset
	// is broken while the table is there (seen with nft 1.0.6). Without Traced a watch
	// only listens, and rules that end a packet there are not named.
	Traced bool
}

// AttachLab makes one lab of network namespaces that exist already. Their links,
// addresses and routes are read, and read again when the kernels tell that they were
// changed: Plan has what is there now. Who is whose neighbour is found out: by the two
// ends of veth pairs, and by bridges, in the namespaces that are given and in that of
// the tests themselves. What is in none of these is outside.
//
// A segment of the plan is called as its bridge, or, without one, as one of its ports:
// web:eth0. On and Port take the name of the interface as well.
//
// The namespaces are never configured and never deleted: no sysctl, link, address, route
// or rule is changed, but for the table that Existing.Traced allows. It needs the
// privilege of the namespaces' owner: root has it, and an ordinary user's tests have it
// over what they have started themselves.
func AttachLab(tb TB, name string, namespaces ...Existing) *Lab {
	tb.Helper()
	lab, err := attachLab(name, namespaces)
	if err != nil {
		tb.Fatalf("%v", at(err, "attach lab %s", name))
		return nil
	}
	lab.tb = tb
	tb.Cleanup(lab.Down)
	return lab
}

func attachLab(name string, namespaces []Existing) (*Lab, error) {
	if err := checkExisting(name, namespaces); err != nil {
		return nil, err
	}
	if !privileged() {
		return nil, errAttach
	}
	var grounds []*ground
	lab, err := func() (*Lab, error) {
		for _, e := range namespaces {
			g, err := e.hold()
			if err != nil {
				return nil, at(err, "node %s", e.Name)
			}
			grounds = append(grounds, g)
			for i, other := range grounds[:len(grounds)-1] {
				if other.inode == g.inode {
					return nil, fmt.Errorf("%s and %s are one namespace: attach it once", namespaces[i].Name, e.Name)
				}
			}
		}
		return labOf(name, namespaces, grounds)
	}()
	if err != nil {
		for _, g := range grounds {
			g.close()
		}
		return nil, err
	}
	upLabs.Store(lab, true)
	return lab, nil
}

// checkExisting looks at what the caller says, before anything is opened.
func checkExisting(name string, namespaces []Existing) error {
	if name == "" {
		return errors.New("the lab has no name")
	}
	if len(namespaces) == 0 {
		return errors.New("there is no namespace to attach: pass a harness.Existing for each")
	}
	seen := map[string]bool{}
	for _, e := range namespaces {
		said := 0
		for _, is := range []bool{e.PID != 0, e.PIDFD != 0, e.Path != "", e.NetNS != ""} {
			if is {
				said++
			}
		}
		switch {
		case e.Name == "":
			return errors.New("a namespace has no name: set Existing.Name")
		case seen[e.Name]:
			return fmt.Errorf("two namespaces are called %s", e.Name)
		case said != 1:
			return fmt.Errorf("node %s: set one of PID, PIDFD, Path and NetNS, which say where the namespace is", e.Name)
		case e.PID < 0 || e.PIDFD < 0:
			return fmt.Errorf("node %s: a number below zero is no process", e.Name)
		case strings.ContainsRune(e.NetNS, filepath.Separator):
			return fmt.Errorf("node %s: %q is no name in /run/netns: set Path", e.Name, e.NetNS)
		case e.Traced && !kernelAtLeast(5, 12):
			return at(missing{"a table that goes with its process needs Linux 5.12"}, "node %s: trace its rules", e.Name)
		}
		seen[e.Name] = true
	}
	return nil
}

// hold holds the namespace, with a socket in it.
func (e Existing) hold() (*ground, error) {
	path := e.Path
	switch {
	case e.PID != 0:
		path = fmt.Sprintf("/proc/%d/ns/net", e.PID)
	case e.NetNS != "":
		path = filepath.Join("/run/netns", e.NetNS)
	case e.PIDFD != 0:
		pid, err := pidOf(e.PIDFD)
		if err != nil {
			return nil, at(err, "process of descriptor %d", e.PIDFD)
		}
		path = fmt.Sprintf("/proc/%d/ns/net", pid)
	}
	ns, err := holdPath(path)
	if err != nil {
		if errors.Is(err, unix.EACCES) {
			return nil, errAttach
		}
		return nil, err
	}
	if e.PIDFD != 0 { // the number may have become another's meanwhile
		if err := unix.PidfdSendSignal(e.PIDFD, 0, nil, 0); err != nil {
			ns.close()
			return nil, at(err, "process of descriptor %d", e.PIDFD)
		}
	}
	g, err := groundOf(ns)
	if err != nil {
		ns.close()
		if errors.Is(err, unix.EPERM) {
			return nil, errAttach
		}
		return nil, err
	}
	return g, nil
}

// groundOf opens a socket in a namespace that is held.
func groundOf(ns *namespace) (*ground, error) {
	g := &ground{namespace: ns}
	err := once(ns.enter, func() (err error) {
		g.rtnl, err = openRTNL()
		return err
	})
	return g, err
}

// pidOf is the process of a pidfd, by what this process's /proc calls it.
func pidOf(pidfd int) (int, error) {
	info := slurp(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd))
	for line := range strings.Lines(info) {
		var pid int
		if n, _ := fmt.Sscanf(line, "Pid: %d", &pid); n == 1 && pid > 0 {
			return pid, nil
		}
	}
	return 0, errors.New("it is no descriptor of a process that is alive and that this one sees")
}

// labOf makes the lab of namespaces that are held.
func labOf(name string, namespaces []Existing, grounds []*ground) (*Lab, error) {
	of := &layout{byName: map[string]*Node{}}
	lab := newLab(of)
	lab.attached, lab.traced = true, map[string]bool{}
	f := &found{name: name, epoll: -1}
	for i, e := range namespaces {
		f.places = append(f.places, place{e.Name, grounds[i].namespace})
		lab.traced[e.Name] = e.Traced
	}
	if err := f.open(); err != nil {
		f.close()
		return nil, err
	}
	lab.found, of.plan = f, f.plan
	for i, e := range namespaces {
		node := newNode(lab, &topo.NodePlan{Name: e.Name}, grounds[i])
		of.nodes = append(of.nodes, node)
		of.byName[e.Name] = node
	}
	return lab, nil
}

// Traced says whether a watch may put a table of its own into the node's nftables: into
// a lab's own node always, into one that was attached where Existing.Traced allows it.
func (n *Node) Traced() bool {
	n = n.here()
	return n.lab.ours() == nil || n.lab.traced[n.name]
}

// Alone says whether the node was attached by itself (Attach): nothing is known of its
// neighbours, and its plan is empty.
func (n *Node) Alone() bool {
	n = n.here()
	return n.lab.attached && n.lab.found == nil
}

// Cable names the layer 2 segment that an interface is on: two interfaces have the same
// where a frame that leaves one may come in at the other without crossing a node that the
// lab watches. It is the segment in a lab that the harness made; "" is an interface that
// leads to no other, by the plan. outside is true where others are on it as well, who
// are not of the lab.
func (l *Lab) Cable(node, port string) (cable string, outside bool) {
	l = l.here()
	if l.found != nil {
		return l.found.cable(spot{node, port})
	}
	plan, _ := l.now().plan.Node(node)
	if plan == nil {
		return "", false
	}
	if found, has := plan.Port(port); has {
		return found.Wired(), false
	}
	return "", false
}
