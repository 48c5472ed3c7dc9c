package verdict

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nstest/nstest/probes/evidence"
)

// kinds are the constants of evidence.Kind, as its source has them.
func kinds(t *testing.T) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "../../evidence/kind.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			found[strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`)] = spec.Names[0].Name
		}
		return true
	})
	return found
}

// Every kind has one row, and every row all its parts.
func TestRows(t *testing.T) {
	t.Parallel()
	left := kinds(t)
	if len(left) < 20 {
		t.Fatalf("the control: only %v were read", left)
	}
	delete(left, string(evidence.Unknown)) // what no row accounts for
	for _, r := range order {
		if _, ok := left[string(r.kind)]; !ok {
			t.Errorf("%q is no kind, or has two rows", r.kind)
		}
		delete(left, string(r.kind))
		for _, lack := range r.lacks() {
			t.Errorf("%s lacks %s", r.kind, lack)
		}
	}
	if len(left) > 0 {
		t.Errorf("without a row: %v", slices.Sorted(maps.Values(left)))
	}
}

// lacks are the parts that a row has not.
func (r *row) lacks() (parts []string) {
	for part, has := range map[string]bool{
		"a kind": r.kind != "", "a verb": r.verb != "", "whether it is a policy": r.policy != nil, "where it happens": len(r.at) > 0,
		"what must be read": r.needs != 0, "what confirms it": len(r.confirmed.counters) > 0 != (r.confirmed.otherwise != ""),
		"what to do about it, if nobody wants it": (r.mend != "") != isAlways(r.policy),
		"how it is lifted, or why it cannot be":   (r.lift != nil) != (r.unliftable != ""),
	} {
		if !has {
			parts = append(parts, part)
		}
	}
	for at, accounts := range r.at {
		if names[at] == "" || accounts == nil {
			parts = append(parts, "a place that there is")
		}
	}
	return parts
}

// isAlways says whether a kind is a policy whatever is known.
func isAlways(policy func(spot, evidence.Cause) bool) bool {
	return policy != nil && reflect.ValueOf(policy).Pointer() == reflect.ValueOf(always).Pointer()
}

// The check of rows is no empty one.
func TestARowThatLacksEverything(t *testing.T) {
	t.Parallel()
	if lacks := new(row).lacks(); len(lacks) != 8 {
		t.Errorf("it lacks but %q", lacks)
	}
	if whole := drop.lacks(); len(whole) > 0 {
		t.Errorf("the row of a drop lacks %q", whole)
	}
}

func TestLiftOfWhatIsNoPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []evidence.Cause{{}, {Kind: evidence.Unknown, Policy: true}, {Kind: evidence.Drop}, {Kind: evidence.MTU, Policy: true}} {
		if deed, err := LiftOf(c); err == nil {
			t.Errorf("%+v: %v", c, deed)
		}
	}
	for _, r := range order {
		c := evidence.Cause{Kind: r.kind, Policy: true, Rule: &policy}
		if _, err := LiftOf(c); (err == nil) != (r.lift != nil) {
			t.Errorf("%s: %v", r.kind, err)
		}
	}
}

func TestSysctlsAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	keys := Sysctls("lan", "dmz")
	for _, want := range []string{"net/ipv4/ip_forward", "net/ipv4/conf/lan/rp_filter", "net/ipv4/conf/dmz/rp_filter", "net/ipv4/icmp_echo_ignore_all"} {
		if !slices.Contains(keys, want) {
			t.Errorf("no %s in %v", want, keys)
		}
	}
	if sorted := slices.Compact(slices.Sorted(slices.Values(keys))); len(sorted) != len(keys) {
		t.Errorf("twice the same: %v", keys)
	}
}

func TestConfirmingCounters(t *testing.T) {
	t.Parallel()
	if got := Confirming(evidence.RPFilter); !slices.Equal(got, []string{"TcpExt.IPReversePathFilter"}) {
		t.Error(got)
	}
	if got := Confirming(evidence.Unknown); got != nil {
		t.Error(got)
	}
}

// The documentation of package evidence has a line for each kind: its word, its verb, and
// what kind.go says of it; those that may be policies first.
func TestKindsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../evidence/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../../evidence/kind.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\t\w+ +Kind = "(\w+)" *// (.+)$`).FindAllStringSubmatch(string(source), -1)
	if len(constants) != len(kinds(t)) {
		t.Fatalf("%d kinds have a comment, of %d", len(constants), len(kinds(t)))
	}
	mistakes := false
	for _, c := range constants {
		verb := "inconclusive"
		if r := rowOf(evidence.Kind(c[1])); r != nil {
			verb = r.verb
			isNever := reflect.ValueOf(r.policy).Pointer() == reflect.ValueOf(never).Pointer()
			if mistakes && !isNever {
				t.Errorf("%s may be a policy, and stands among the mistakes", r.kind)
			}
			mistakes = isNever
		}
		if line := fmt.Sprintf("//\t%-11s  %-13s  %s\n", c[1], verb, c[2]); !strings.Contains(string(text), line) {
			t.Errorf("probes/evidence/doc.go lacks this line:\n%s", line)
		}
	}
	if want, got := len(constants), strings.Count(string(text), "\n//\t"); got != want+countExample {
		t.Errorf("%d lines of kinds, want %d", got-countExample, want)
	}
}

// countExample is how many lines the example of the documentation has.
const countExample = 6
