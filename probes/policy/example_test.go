package policy_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/gomega"
)

// given is what a test has: its T and the T's context, and the lab of its network,
// as harness.Up(t, network) makes it.
func given() (t *testing.T, ctx context.Context, lab *harness.Lab) { return }

// Each rule of the firewall was tried, and none is dead.
func ExampleCover() {
	t, ctx, lab := given()
	report, err := policy.Cover(ctx, lab, "fw")
	if err != nil {
		log.Fatal(err)
	}
	NewWithT(t).Expect(report.Of(policy.Shadowed, policy.Unreferenced, policy.Unreachable)).To(BeEmpty(), report.String())
}

// What decided, and for which packet.
func ExampleReport() {
	_, ctx, lab := given()
	report, err := policy.Cover(ctx, lab, "fw")
	if err != nil {
		log.Fatal(err)
	}
	for _, rule := range report.Rules {
		switch rule.Fate {
		case policy.Redundant:
			fmt.Println(rule.Text, "may go: without it a packet is", rule.Without)
		case policy.Decided, policy.Matched:
			last := rule.Witness[len(rule.Witness)-1]
			fmt.Println(rule.Text, "was met by a packet from", last.Source, "to", last.Destination, "in by", last.In)
		case policy.Shadowed:
			fmt.Println(rule.Text, "never is asked, because of", rule.By)
		case policy.Unreferenced, policy.Unreachable, policy.Needs, policy.NotModelled:
			fmt.Println(rule.Text, "was met by none:", rule.Why)
		}
	}
}

// The probes for what no test has tried, as a file of the test's package.
func ExampleReport_Suggest() {
	_, ctx, lab := given()
	report, err := policy.Cover(ctx, lab, "fw")
	if err != nil {
		log.Fatal(err)
	}
	source, err := report.Suggest("firewall_test", os.Getenv("NSTEST_RULE_COVERAGE"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(source)
}

// What does the change do that is to be reviewed?
func ExampleCompareRules() {
	_, ctx, lab := given()
	before, after := "table inet filter { ... }", "table inet filter { ... }"
	found, err := policy.CompareRules(ctx, lab, "fw", before, after)
	if err != nil {
		log.Fatal(err)
	}
	for _, change := range found.Changes {
		fmt.Println(change)
	}
}

// Rules that were rewritten do what they did.
func ExampleBehaveLike() {
	t, ctx, before := given()
	_, _, after := given()
	NewWithT(t).Expect(after).To(policy.BehaveLike(before).WithContext(ctx))
}

// What the firewall does is what the test says, whichever rules do it.
func ExampleOf() {
	t, ctx, lab := given()
	p, err := policy.Of(ctx, lab, "fw", policy.Zone("mgmt", "10.0.1.0/28"))
	if err != nil {
		log.Fatal(err)
	}
	NewWithT(t).Expect(p).To(policy.MatchPolicy(`
		mgmt -> dmz:
			established, related: accepted by ...
			tcp 22, 80, 443: accepted by "admins"
			all else: dropped by policy drop of inet filter forward
		lan -> dmz:
			established, related: accepted by ...
			tcp 80, 443: accepted by "web"
			all else: dropped by ...
		... -> fw:
			...
		... -> ...:
			established, related: accepted by ...
			all else: dropped by ...
	`))
}
