package policy

import (
	"fmt"
	"strings"
)

// Markdown is the difference as a pull request is told of it: a table of what is treated otherwise, and below it what another rule
// decides now, alike, and what was not compared.
func (d Difference) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n", strings.TrimSuffix(d.headline(), ":"))
	if len(d.Changes) > 0 {
		fmt.Fprint(&b, "\n"+changeTable(d.Changes))
	}
	if len(d.Moved) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n%s\n</details>\n", d.movedLine(), changeTable(d.Moved))
	}
	if len(d.Notes) > 0 {
		fmt.Fprint(&b, "\nNot compared:\n\n")
	}
	for _, n := range d.Notes {
		fmt.Fprintf(&b, "- %s\n", plainText(n))
	}
	return b.String()
}

func changeTable(changes []Change) string {
	var b strings.Builder
	fmt.Fprint(&b, "| at | packet | before | after |\n|---|---|---|---|\n")
	for _, c := range changes {
		fmt.Fprintf(&b, "| %s | **%s**: %s | %s | %s |\n", plainText(c.Node), c.word(), code(packetsText(c.Witness)), plainText(c.Before.full(c)), plainText(c.After.full(c)))
	}
	return b.String()
}

// Markdown is the report as a pull request is told of it: the sums; the rules that no packet comes to, that could be left out, or of which
// that is not known; and all of them, folded.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s: %d rules and policies: %s\n", plainText(r.Node), len(r.Rules), r.sums())
	if odd := r.Of(Redundant, Shadowed, Unreferenced, Unreachable, Needs, NotModelled); len(odd) > 0 {
		fmt.Fprint(&b, "\n"+ruleTable(odd))
	}
	if len(r.Rules) > 0 {
		fmt.Fprintf(&b, "\n<details><summary>every rule</summary>\n\n%s\n</details>\n", ruleTable(r.Rules))
	}
	return b.String()
}

func ruleTable(all []Rule) string {
	var b strings.Builder
	fmt.Fprint(&b, "| chain | rule | fate | |\n|---|---|---|---|\n")
	for _, r := range all {
		text := code(r.Text)
		if r.Position > 0 {
			text = fmt.Sprintf("%d: %s", r.Position, text)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", plainText(r.Family+" "+r.Table+" "+r.Chain), text, r.Fate, plainText(r.told()))
	}
	return b.String()
}

// code is a text as Markdown shows it letter by letter, also in a table.
func code(text string) string {
	text = strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	if fence := "``"; strings.Contains(text, "`") {
		return fence + " " + text + " " + fence
	}
	return "`" + text + "`"
}

// plainText is a text of which Markdown makes nothing else.
func plainText(text string) string {
	return strings.NewReplacer("\n", " ", `\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "<", "&lt;", ">", "&gt;", "`", "\\`", "[", `\[`, "@", "@\u200b").Replace(text)
}
