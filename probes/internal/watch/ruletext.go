package watch

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/evidence"
)

var familyNames = map[nftables.TableFamily]string{
	nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
	nftables.TableFamilyBridge: "bridge", nftables.TableFamilyNetdev: "netdev", nftables.TableFamilyARP: "arp",
}

// families are those of familyNames, by name.
var families = func() map[string]nftables.TableFamily {
	by := map[string]nftables.TableFamily{}
	for family, name := range familyNames {
		by[name] = family
	}
	return by
}()

var (
	counters = regexp.MustCompile(`counter packets \d+ bytes \d+`)
	comments = regexp.MustCompile(` comment "[^"]*"$`) // the rule's own: elements and log prefixes may hold the word
)

// RuleText is the rule as nft prints it; "" without nft. A chain or table that is
// called like one of nft's own words cannot be asked for by name: then the whole ruleset
// is read.
func RuleText(node *harness.Node, r *evidence.Rule) string {
	nft := nftPath()
	if !covers(node) { // else the whole was read, and is at hand
		if text := textOf(listed(node, nft, "-s", "-a", "list", "chain", r.Family, r.Table, r.Chain), r.Handle); text != "" {
			return text
		}
	}
	return tidy(textsOf(listed(node, nft, wholeRuleset...))[ruleKey{byte(families[r.Family]), r.Table, r.Chain, r.Handle}])
}

// wholeRuleset has nft print all rules, without what they have counted.
var wholeRuleset = []string{"-s", "-a", "list", "ruleset"}

// textOf finds a rule in what nft -a prints, and leaves out what is no part of it.
func textOf(listing string, handle uint64) string {
	for line := range strings.Lines(listing) {
		text, ok := strings.CutSuffix(strings.TrimSpace(line), fmt.Sprintf(" # handle %d", handle))
		if ok {
			return tidy(text)
		}
	}
	return ""
}

// tidy leaves out of a rule what is no part of it.
func tidy(text string) string {
	text = comments.ReplaceAllString(text, "")
	text = counters.ReplaceAllString(text, "counter")
	return strings.Join(strings.Fields(text), " ")
}

// nftPath is where nft is.
var nftPath = sync.OnceValue(func() string { return found("nft") })

// found is where a program is, also where an ordinary user's PATH does not look; ""
// where it is not.
func found(name string) string {
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	return ""
}
