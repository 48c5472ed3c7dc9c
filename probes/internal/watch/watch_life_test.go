package watch_test

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/verdict"
	"github.com/nstest/nstest/probes/internal/watch"
	"github.com/onsi/gomega"
)

// ruleset is every table, chain and rule of a node, by its place and handle.
func ruleset(t *testing.T, node *harness.Node) (rules []string) {
	t.Helper()
	err := node.Nftables(func(conn *nftables.Conn) error {
		tables, err := conn.ListTables()
		if err != nil {
			return err
		}
		for _, table := range tables {
			rules = append(rules, fmt.Sprintf("table %d %s", table.Family, table.Name))
		}
		chains, err := conn.ListChains()
		if err != nil {
			return err
		}
		for _, chain := range chains {
			rules = append(rules, fmt.Sprintf("chain %s %s", chain.Table.Name, chain.Name))
			all, err := conn.GetRules(chain.Table, chain)
			if err != nil {
				return err
			}
			for _, rule := range all {
				rules = append(rules, fmt.Sprintf("rule %s %s %d", chain.Table.Name, chain.Name, rule.Handle))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// added are the tables that were not there before.
func added(before, now []string) (tables []string) {
	for _, line := range now {
		if strings.HasPrefix(line, "table ") && !slices.Contains(before, line) {
			tables = append(tables, line)
		}
	}
	return tables
}

// A watch has a table where there are rules, and nowhere else; when it is closed
// there are the user's again, as they were.
func TestWatchLeavesTheRulesAlone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table bridge l2 {\n}\n"+dropUDP+chain("ip", "input priority 0", "tcp dport 22 counter accept")))
	fw, flow := lab.Node("fw"), to(udp, server4, 53)
	before := ruleset(t, fw)
	if len(before) < 6 {
		t.Fatalf("the router has but %q", before)
	}
	for range 3 {
		watch, err := watch.Open(lab.Nodes(), flow)
		if err != nil {
			t.Fatal(err)
		}
		during := ruleset(t, fw)
		if tables := added(before, during); len(tables) != 2 { // inet, and bridge where there is such a table
			t.Errorf("added while watching: %q", tables)
		}
		for _, line := range before {
			if !slices.Contains(during, line) {
				t.Errorf("%s is gone while watching", line)
			}
		}
		for _, name := range []string{"client", "server"} {
			if rules := ruleset(t, lab.Node(name)); len(rules) > 0 {
				t.Errorf("%s, which has no rules, has %q", name, rules)
			}
		}
		askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
		if err := watch.Close(); err != nil {
			t.Error(err)
		}
		if now := ruleset(t, fw); !slices.Equal(now, before) {
			t.Errorf("left by the watch: %q, before %q", now, before)
		}
	}
}

// Two watches at once: neither knows of the other, nor takes its table away.
func TestTwoWatches(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	before, flow := ruleset(t, lab.Node("fw")), to(udp, server4, 53)
	one, err := watch.Open(lab.Nodes(), flow)
	if err != nil {
		t.Fatal(err)
	}
	two := open(t, lab.Nodes(), flow)
	if tables := added(before, ruleset(t, lab.Node("fw"))); len(tables) != 2 {
		t.Errorf("tables of two watches: %q", tables)
	}
	var asked []*asking
	for range 3 {
		asked = append(asked, askUnder(t, one, lab.Node("client"), flow), askUnder(t, two, lab.Node("client"), flow))
	}
	for _, a := range asked {
		a.says(evidence.Drop, noDNS)
		if places := places(a.timeline()); places != "client/lan out request, fw/lan in request, fw/ at request" {
			t.Errorf("%s\n%s", places, a.timeline())
		}
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if tables := added(before, ruleset(t, lab.Node("fw"))); len(tables) != 1 {
		t.Errorf("tables of the other: %q", tables)
	}
	askUnder(t, two, lab.Node("client"), flow).says(evidence.Drop, noDNS)
}

// Whoever flushes the ruleset takes the watch's table along. What was seen until
// then is concluded; what comes later passes, and that is seen as well.
func TestWatchWhileTheRulesetIsFlushed(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table bridge l2 {\n}\n"+dropUDP))
	serve(t, lab.Node("server"), 53)
	flow := to(udp, server4, 53)
	watch, err := watch.Open(lab.Nodes(), flow)
	if err != nil {
		t.Fatal(err)
	}
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
	if err := lab.Node("fw").Nft("flush ruleset"); err != nil {
		t.Fatal(err)
	}
	a := askUnder(t, watch, lab.Node("client"), flow)
	if by := a.answered().Answerer(); by != "server" {
		t.Errorf("answered by %q\n%s", by, a.timeline())
	}
	if err := watch.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if rules := ruleset(t, lab.Node("fw")); len(rules) > 0 {
		t.Errorf("left: %q", rules)
	}
}

// A rule that is gone when it is read is known by its place.
func TestWatchOfARuleThatIsGone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	flow := to(udp, server4, 53)
	watch := open(t, lab.Nodes(), flow)
	release := watch.HoldRules()
	a := askUnder(t, watch, lab.Node("client"), flow)
	gomega.NewWithT(t).Eventually(func() int { return watch.Unread(a.trail) }).Should(gomega.Equal(1))
	if err := lab.Node("fw").Nft("flush chain inet filter forward\nadd rule inet filter forward udp dport 53 accept"); err != nil {
		t.Fatal(err)
	}
	release()
	if c := a.cause(); c.Word() != "drop@fw" || !c.Policy || c.Rule.Text != "" || !strings.HasPrefix(c.Rule.Name(), "inet filter forward handle ") {
		t.Errorf("%s, rule %+v", c, c.Rule)
	}
}

func TestCloseTwice(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	watch, err := watch.Open(lab.Nodes(), to(udp, server4, 53))
	if err != nil {
		t.Fatal(err)
	}
	a := askUnder(t, watch, lab.Node("client"), to(udp, server4, 53))
	a.says(evidence.Drop, noDNS)
	for range 2 {
		if err := watch.Close(); err != nil {
			t.Error(err)
		}
	}
	begun := time.Now()
	a.says(evidence.Drop, noDNS) // what was seen is still there, and nothing to wait for
	if took := time.Since(begun); took > settleBound {
		t.Errorf("it took %s to settle what is closed", took)
	}
}

func TestOpenOfALabThatIsDown(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab, gone := harness.Up(t, office(dropUDP)), harness.Up(t, office(""))
	before := ruleset(t, lab.Node("fw"))
	gone.Down()
	nodes := append(lab.Nodes(), gone.Node("client"))
	if watch, err := watch.Open(nodes, to(udp, server4, 53)); err == nil || watch != nil || !strings.Contains(err.Error(), "client") {
		t.Errorf("%v, %v", watch, err)
	}
	if now := ruleset(t, lab.Node("fw")); !slices.Equal(now, before) {
		t.Errorf("left: %q, before %q", now, before)
	}
}

// running are the goroutines that run code of the package, but its tests'.
func running() (functions []string) {
	var text bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&text, 2)
	for _, stack := range strings.Split(text.String(), "\n\n") {
		if _, rest, is := strings.Cut(stack, "/probes/internal/watch.("); is && !strings.Contains(stack, "testing.(*T).Parallel(") {
			name, _, _ := strings.Cut(rest, "\n")
			functions = append(functions, name)
		}
	}
	return functions
}

func sockets() (count int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if link, err := os.Readlink("/proc/self/fd/" + entry.Name()); err == nil && strings.HasPrefix(link, "socket:") {
			count++
		}
	}
	return count
}

// Taps close beside: it takes the kernel some time. This test is not parallel: it
// counts what the whole process holds.
func TestNothingIsLeftOfAWatch(t *testing.T) {
	harness.Require(t, harness.NftTool)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which closes what is forgotten
	lab := harness.Up(t, office(dropUDP))
	for _, node := range lab.Nodes() {
		node.Netlink() // which stays open with the lab
	}
	before := sockets()
	var watching sync.WaitGroup
	for range 5 {
		watching.Go(func() {
			watch, err := watch.Open(lab.Nodes(), to(udp, server4, 53), to(icmp, server4, 0))
			if err != nil {
				t.Error(err)
				return
			}
			watch.Explain(watch.Follow(to(udp, server4, 53)), verdict.Heard{})
			control := gomega.NewGomega(func(message string, _ ...int) { t.Error(message) }) // FailNow is not for here
			control.Eventually(func() int { return len(running()) }).Should(gomega.BeNumerically(">=", 4), "three taps and a trace")
			if err := watch.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	watching.Wait()
	g := gomega.NewWithT(t)
	g.Eventually(running).WithTimeout(10 * time.Second).Should(gomega.BeEmpty())
	g.Eventually(sockets).WithTimeout(10 * time.Second).Should(gomega.BeNumerically("<=", before))
}
