package harness

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nstest/nstest/topo"
)

// Lab is a network that is up: a namespace for every node, the links between
// them, and nothing in the machine's own network. Its methods may be called
// from any goroutine. A nil Lab, which Up has left that failed, is one that is down and has no
// nodes; what would be done with it, or with one of them, is an error.
type Lab struct {
	tb     TB
	layout atomic.Pointer[layout]

	// declared is a copy of the declaration that was built, with what Change made of it;
	// first, the plan that was built, planned that of the declaration as it is, and edits what
	// nodes were given since besides.
	declared *topo.Network
	first    *topo.Plan
	planned  *topo.Plan
	edits    []edit
	changing sync.RWMutex // held while the layout is changed
	turns    atomic.Uint64

	commands commands        // of its nodes
	attached bool            // somebody else's namespaces: never configured
	traced   map[string]bool // those of them that allow a trace table, by node
	found    *found          // what was read of several; nil of one that was attached alone

	switching sync.Mutex // held while a switch's end is changed
	mu        sync.Mutex
	isEnding  bool     // Down was called
	lacking   []string // what its commands do without, told
	isDown    bool     // and nothing may be left for it to do
	endings   []ending
	onFailure []record
	done      []deed                   // what was done to it since it is up
	switched  map[spot]topo.SwitchPort // what was chosen of switches' ends since
	groups    map[string]int           // of nodes that are cut off from one another, by name
	cut       []cutEnd                 // of wires between them, while changing is held
	kept      map[any]*keptValue
	measured  map[wayKey]MeasuredImpairment
	// neighbours are the entries that the test gave.
	neighbours map[neighbour]bool
}

// layout is what a lab is made of: a change makes another.
type layout struct {
	plan   *topo.Plan
	site   *site // how it was built
	nodes  []*Node
	byName map[string]*Node
	fabric *ground // the bridges of the lab's switches; nil without any
}

// now is the lab as it is.
func (l *Lab) now() *layout { return l.layout.Load() }

func newLab(of *layout) *Lab {
	l := &Lab{tb: nobody{}}
	l.layout.Store(of)
	return l
}

// keptValue is what Keep has made, or is making.
type keptValue struct {
	once  sync.Once
	value any
}

// Up builds the network for one test, and takes it down when the test ends. It
// returns when a first packet will pass on every link. A declaration with
// mistakes fails the test with every one of them; so does what the machine
// lacks (privilege, descriptors, a missing nft), and then nothing is left. When the
// test has failed, a bundle of what the network was like stays: see Lab.OnFailure.
func Up(tb TB, network *topo.Network) *Lab {
	tb.Helper()
	lab, err := build(network)
	if err != nil {
		tb.Fatalf("%v", at(err, "up"))
		return nil
	}
	lab.tb = tb
	tb.Cleanup(lab.Down)
	for _, text := range lab.lacking { // told to nobody yet
		tb.Logf("the commands of lab %s: %s", lab.Name(), text)
	}
	return lab
}

// Name is the network's name.
func (l *Lab) Name() string { return l.here().now().plan.Name }

// Plan is what was built: names, addresses and routes; of a lab of AttachLab what is
// there now, read again when it was changed. It is not to be changed.
func (l *Lab) Plan() *topo.Plan {
	l = l.here()
	if l.found != nil {
		return l.found.now()
	}
	return l.now().plan
}

// Nodes are the lab's nodes, in order of declaration.
func (l *Lab) Nodes() []*Node { return append([]*Node(nil), l.here().now().nodes...) }

// Node is the node of that name. A wrong name fails the test and lists the
// right ones. A nil Lab has no test to fail, and nil nodes.
func (l *Lab) Node(name string) *Node {
	l = l.here()
	l.tb.Helper()
	if node, ok := l.now().byName[name]; ok {
		return node
	}
	var names []string
	for _, node := range l.now().nodes {
		names = append(names, node.name)
	}
	l.tb.Fatalf("lab %s has no node %q; it has: %s", l.Name(), name, strings.Join(names, ", "))
	return nil
}

// Down takes the lab away: its commands and what they left running are killed,
// its descriptors closed. The kernel clears the namespaces up behind it. Sockets
// that the test itself holds keep their namespace until they are closed. It is
// called when the test ends; a second call does nothing, and neither does one of a nil Lab.
func (l *Lab) Down() {
	l = l.here()
	l.mu.Lock()
	if l.isEnding {
		l.mu.Unlock()
		return
	}
	l.isEnding = true
	records := l.onFailure
	l.onFailure = nil
	l.mu.Unlock()
	l.writeBundle(records)
	l.mu.Lock()
	l.isDown = true
	last := l.endings
	l.endings, l.kept = nil, nil
	l.mu.Unlock()
	defer l.close() // also where something that was registered panics
	runAll(last)
}

// close ends the lab's processes and closes its descriptors.
func (l *Lab) close() {
	l.commands.close()
	l.ovs().close()
	for _, node := range l.now().nodes {
		node.close()
	}
	l.now().fabric.close()
	l.found.close()
	upLabs.Delete(l)
}

// upLabs are the labs that are up, for the leak check of Main.
var upLabs sync.Map

// OnDown registers f to run when the lab goes down, before its descriptors close;
// what was registered last runs first. When the lab is down already, f runs at
// once; a nil f is nothing to do. What ends with a node is for Node.OnGone.
func (l *Lab) OnDown(f func()) { l.here().atEnd(nil, f) }
