package rules_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables/expr"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/internal/rules"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// Where random rules let a packet in one time and drop it another, each drop has a rule
// that remembers. RULES_ROUNDS=500 is the long run.
func TestDecidingAgreesWithTheKernel(t *testing.T) {
	t.Parallel()
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("RULES_ROUNDS")); err == nil {
		rounds = n
	}
	network := topo.New("two")
	wire := network.Wire("w", "10.0.1.0/24")
	network.Host("a", wire)
	network.Host("b", wire)
	lab := harness.Up(t, network)
	d := &drawing{t: t, a: lab.Node("a"), b: lab.Node("b"), Rand: rand.New(rand.NewPCG(rand.Uint64(), 2))}
	for range rounds {
		d.round()
	}
	t.Logf("%d flows of which some packets were dropped: %d were now let in and now not; of the %d others %d were said to depend on nothing", d.some, d.both, d.some-d.both, d.still)
	if rounds > 20 && (d.both == 0 || d.still == 0) {
		t.Error("never both, or never surely dropped")
	}
}

type drawing struct {
	t    *testing.T
	a, b *harness.Node
	*rand.Rand
	some, both, still int
}

func (d *drawing) one(words ...string) string { return words[d.IntN(len(words))] }

// chain is a few rules that count.
func (d *drawing) chain(name, head string, jumps ...string) string {
	text := "chain " + name + " {\n" + head + "\n"
	for range 2 + d.IntN(4) {
		ends := append([]string{"accept", "drop", "return", "meta mark set 1", "", "accept", "drop"}, jumps...)
		end := ends[d.IntN(len(ends))]
		if strings.Contains(end, "side") { // each is jumped to once
			jumps = nil
		}
		condition := d.one("", "", "udp dport { 80, 443 }", "udp dport { 22, 80 }", "meta mark 1", "ip saddr 10.0.1.0/24", "udp dport 443", "ip protocol icmp")
		memory := d.one("", "", "", "numgen inc mod 2 0", "numgen random mod 2 0", "limit rate 1/hour burst 2 packets", "ip saddr @seen", "ip saddr != @seen", "limit rate over 1/hour burst 2 packets")
		text += strings.Join([]string{condition, memory, "counter", end}, " ") + "\n"
	}
	return text + "}\n"
}

func (d *drawing) round() {
	policy := func() string { return " policy " + d.one("accept", "drop") + ";" }
	text := "flush ruleset\ntable inet t {\nset seen { type ipv4_addr; flags dynamic; size 9; }\n"
	text += d.chain("side1", "") + d.chain("side2", "")
	text += d.chain("early", "type filter hook prerouting priority -150;", "jump side1", "goto side1")
	text += d.chain("late", "type filter hook input priority 0;"+policy(), "jump side2", "goto side2")
	text += "chain fill {\n" + d.one("type filter hook prerouting priority -400;\n", "") + "add @seen { ip saddr }\n}\n}\n"
	text += "table inet judge {\nchain comes { type filter hook prerouting priority -500; udp dport 1-65535 counter; }\nchain in { type filter hook input priority 500; udp dport 1-65535 counter; }\n}\n"
	for _, port := range []uint16{22, 80, 443} {
		if err := d.b.Nft(text); err != nil {
			d.t.Fatalf("%v\n%s", err, text)
		}
		d.flow(port, text)
	}
}

// flow sends alike packets, and judges what is said of those that were dropped.
func (d *drawing) flow(port uint16, text string) {
	var empty [][]rules.Step
	in, out := 0, 0
	for range 8 {
		before := read(d.t, d.b)
		comes, came := d.judged()
		d.send(port)
		for deadline := time.Now().Add(5 * time.Second); ; {
			if now, _ := d.judged(); now > comes {
				break
			}
			if time.Now().After(deadline) {
				d.t.Fatal("it did not come")
			}
		}
		set := read(d.t, d.b)
		if _, now := d.judged(); now > came {
			in++
			continue
		}
		out++
		p := udp(port)
		p.Src, p.Dst, p.In, p.Length = d.a.Addr(), d.b.Addr(), rules.Interface{Name: "w"}, nil
		if steps := followed(before, set); len(rules.Deciding(set, p, steps)) == 0 {
			empty = append(empty, steps)
		}
	}
	if out == 0 {
		return
	}
	d.some++
	switch {
	case in > 0:
		d.both++
		for _, steps := range empty {
			d.t.Errorf("port %d was let in %d times and dropped %d times, but nothing is said to decide it: %v\n%s", port, in, out, steps, text)
		}
	case len(empty) == out:
		d.still++
	}
}

// judged is how many packets came, and how many came through.
func (d *drawing) judged() (comes, in uint64) {
	set := read(d.t, d.b)
	return counted(set.Chain("inet", "judge", "comes").Rules[0]), counted(set.Chain("inet", "judge", "in").Rules[0])
}

func (d *drawing) send(port uint16) {
	var fd int
	err := d.a.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Sendto(fd, []byte("x"), 0, sockaddr(d.b.Addr(), int(port))); err != nil {
		d.t.Fatal(err)
	}
}

// followed are the steps that a trace would have had, by which rules have counted.
func followed(before, after *inspect.Ruleset) (steps []rules.Step) {
	var walk func(c *inspect.Chain) bool
	walk = func(c *inspect.Chain) (over bool) {
		old := before.Chain(c.Table.Family, c.Table.Name, c.Name)
		for i, rule := range c.Rules {
			if counted(rule) == counted(old.Rules[i]) {
				continue
			}
			steps = append(steps, rules.Step{Family: c.Table.Family, Table: c.Table.Name, Chain: c.Name, Handle: rule.Handle})
			if len(rule.Exprs) == 0 {
				continue
			}
			v, ok := rule.Exprs[len(rule.Exprs)-1].(*expr.Verdict)
			switch {
			case !ok:
			case v.Kind == expr.VerdictJump:
				if walk(c.Table.Chain(v.Chain)) {
					return true
				}
			case v.Kind == expr.VerdictGoto:
				return walk(c.Table.Chain(v.Chain))
			case v.Kind == expr.VerdictReturn:
				return false
			default:
				return true
			}
		}
		return false
	}
	for _, name := range []string{"early", "late"} {
		c := after.Chain("inet", "t", name)
		had := len(steps)
		if !walk(c) {
			steps = append(steps, rules.Step{Family: "inet", Table: "t", Chain: name})
			if c.Drops {
				return steps
			}
			continue
		}
		last := steps[len(steps)-1]
		rule := after.Chain("inet", "t", last.Chain).Rule(last.Handle)
		if len(steps) == had || rule.Exprs[len(rule.Exprs)-1].(*expr.Verdict).Kind == expr.VerdictDrop {
			return steps
		}
	}
	return steps
}
