package watch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
	watching "github.com/nstest/nstest/probes/internal/watch"
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

// A watch has a table where there are rules, and nowhere else.
func TestWatchLeavesTheRulesAlone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table bridge l2 {\n}\n"+dropUDP+chain("ip", "input priority 0", "tcp dport 22 counter accept")))
	fw, flow := lab.Node("fw"), to(udp, server4, 53)
	before := ruleset(t, fw)
	if len(before) < 6 {
		t.Fatalf("the router has but %q", before)
	}
	watch := open(t, lab.Nodes())
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
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
}

// There is one watch of a lab, and one table at a node with rules.
func TestOneWatchOfALab(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	before, flow := ruleset(t, lab.Node("fw")), to(udp, server4, 53)
	one, two := open(t, lab.Nodes()), open(t, lab.Nodes())
	if one != two {
		t.Error("there are two")
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
	if tables := added(before, ruleset(t, lab.Node("fw"))); len(tables) != 1 {
		t.Errorf("tables: %q", tables)
	}
}

// Whoever flushes the ruleset takes the watch's table along, and it is put back: what
// passes then is seen as well, and what is dropped by rules that come later.
func TestWatchWhileTheRulesetIsFlushed(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office("table bridge l2 {\n}\n"+dropUDP))
	serve(t, lab.Node("server"), 53)
	flow := to(udp, server4, 53)
	watch := open(t, lab.Nodes())
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
	if err := lab.Node("fw").Nft("flush ruleset"); err != nil {
		t.Fatal(err)
	}
	a := askUnder(t, watch, lab.Node("client"), flow)
	if by := a.answered().Answerer(); by != "server" {
		t.Errorf("answered by %q\n%s", by, a.timeline())
	}
	if err := lab.Node("fw").Nft(dropUDP); err != nil {
		t.Fatal(err)
	}
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
}

// It may be flushed in the midst of a probe too, when its port is not yet traced: that is no error,
// and the table is put back.
func TestWatchOfAPortWhileTheRulesetIsFlushed(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	const table = "table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0\n\t}\n}\n"
	lab := harness.Up(t, office(dropUDP))
	watch := open(t, lab.Nodes())
	flow := to(udp, server4, 53)
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
	trail, err := watch.Follow(flow)
	must(t, err)
	defer watch.Done(trail)
	must(t, lab.Node("fw").Nft("flush ruleset\n"+table))
	must(t, watch.Says(trail, 5353, nil))
	if rules := strings.Join(ruleset(t, lab.Node("fw")), "\n"); !strings.Contains(rules, "nstest-trace-") {
		t.Errorf("the watch's table is gone: %s", rules)
	}
}

// Rules that a node gets when the watch stands are traced as well.
func TestWatchOfRulesThatComeLater(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(""))
	serve(t, lab.Node("server"), 53)
	flow := to(udp, server4, 53)
	watch := open(t, lab.Nodes())
	askUnder(t, watch, lab.Node("client"), flow).answered()
	if tables := ruleset(t, lab.Node("fw")); len(tables) > 0 {
		t.Errorf("a node without rules has %q", tables)
	}
	if err := lab.Node("fw").Nft(dropUDP); err != nil {
		t.Fatal(err)
	}
	askUnder(t, watch, lab.Node("client"), flow).says(evidence.Drop, noDNS)
	if err := lab.Node("fw").Nft("delete table inet filter"); err != nil {
		t.Fatal(err)
	}
	askUnder(t, watch, lab.Node("client"), flow).answered()
}

// A rule that is gone when its text is wanted is known by its place, and its comment.
func TestWatchOfARuleThatIsGone(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	flow := to(udp, server4, 53)
	watch := open(t, lab.Nodes(), flow)
	a := askUnder(t, watch, lab.Node("client"), flow)
	c := a.cause()
	if err := lab.Node("fw").Nft("flush chain inet filter forward\nadd rule inet filter forward udp dport 53 accept"); err != nil {
		t.Fatal(err)
	}
	if c.Word() != "drop@fw" || !c.Policy || c.Rule.Words() != "" || c.Rule.Name() != "no dns" {
		t.Errorf("%s, rule %+v", c, c.Rule)
	}
}

// What was seen is still there when the lab is down, and nothing to wait for.
func TestWatchOfALabThatGoesDown(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	watch := open(t, lab.Nodes())
	a := askUnder(t, watch, lab.Node("client"), to(udp, server4, 53))
	a.says(evidence.Drop, noDNS)
	waits := follow(t, watch, to(udp, server4, 53))
	ended := make(chan bool)
	go func() {
		watch.Conclude(context.Background(), waits)
		close(ended)
	}()
	lab.Down()
	select {
	case <-ended:
	case <-time.After(soon):
		t.Error("a probe waits for what nobody can see")
	}
	a.says(evidence.Drop, noDNS)
}

func TestWatchOfALabThatIsDown(t *testing.T) {
	t.Parallel()
	gone := harness.Up(t, office(""))
	gone.Down()
	if w, err := watching.Of(gone); err == nil || w != nil || !strings.Contains(err.Error(), "lab office") {
		t.Errorf("%v, %v", w, err)
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
	before := sockets()
	lab := harness.Up(t, office(dropUDP))
	watch := open(t, lab.Nodes())
	a := askUnder(t, watch, lab.Node("client"), to(udp, server4, 54))
	if c := a.causeWithin(while); c.Kind != evidence.NoListener {
		t.Error(c)
	}
	if n := sockets() - before; n < 10 {
		t.Errorf("%d sockets stand at three nodes", n)
	}
	lab.Down()
	g := gomega.NewWithT(t)
	g.Eventually(running).WithTimeout(10 * time.Second).Should(gomega.BeEmpty())
	g.Eventually(sockets).WithTimeout(10 * time.Second).Should(gomega.BeNumerically("<=", before+1)) // the probe's own
}

// A user's own programs list the rules while the watch's table stands among them.
func TestListingsAreWholeWhileAWatchStands(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	lab := harness.Up(t, office(dropUDP))
	serve(t, lab.Node("server"), 53)
	watch := open(t, lab.Nodes())
	askUnder(t, watch, lab.Node("client"), to(udp, server4, 53)).says(evidence.Drop, noDNS)
	for _, node := range lab.Nodes() {
		out, err := node.Command("nft", "-j", "list", "ruleset").Output()
		var listing struct{ Nftables []map[string]any }
		if err == nil {
			err = json.Unmarshal(out, &listing)
		}
		if err != nil || bytes.Contains(out, []byte(`"flags"`)) { // which nft 1.0.6 reads from beyond its table of names
			t.Errorf("node %s: nft -j list ruleset: %v:\n%s", node, err, out)
		}
	}
}
