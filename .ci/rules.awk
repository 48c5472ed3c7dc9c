# Reads files of NSTEST_RULE_COVERAGE, any number and in any order, and prints
# which rules and policies probes have tried, chain by chain. A line is
#
#	decided|matched|never  network  node  family  table  chain  ordinal  text
#	problem                network  node  text
#
# with tabs between. What was tried once, anywhere, is tried.

BEGIN { FS = "\t" }

$1 == "problem" {
	if (!told[$0]++) problem[++problems] = sprintf("%s: node %s: %s", $2, $3, $4)
	next
}

NF != 8 { next }

{
	chain = $2 FS $3 FS $4 " " $5 " " $6
	rule = chain FS $7 FS $8
	if (!(chain in place)) {
		place[chain] = ++chains
		if (length($2) > network) network = length($2)
		if (length($3) > node) node = length($3)
		if (length($4 " " $5 " " $6) > width) width = length($4 " " $5 " " $6)
		column[chains] = chain
	}
	if (!(rule in all)) {
		all[rule] = 1
		rules[chain]++
		inside[chain, rules[chain]] = rule
	}
	if ($1 != "never") tried[rule] = 1
	if ($1 == "decided") decided[rule] = 1
}

function percent(part, whole) { return int(100 * part / whole) "%" }

END {
	print "\n== rules that probes tried =="
	form = "  %-" network "s  %-" node "s  %-" width "s  %d of %d  %s\n"
	for (i = 1; i <= chains; i++) {
		chain = column[i]
		met = 0
		for (j = 1; j <= rules[chain]; j++) if (inside[chain, j] in tried) met++
		split(chain, name, FS)
		printf form, name[1], name[2], name[3], met, rules[chain], percent(met, rules[chain])
		for (j = 1; j <= rules[chain]; j++) {
			rule = inside[chain, j]
			split(rule, part, FS)
			again = part[4] > 1 ? " (number " part[4] " of these)" : ""
			if (!(rule in tried)) print "    never tried: " part[5] again
			if (rule in decided) verdicts++
		}
		sum += met
		total += rules[chain]
	}
	if (total) printf "  total %d of %d rules and policies, %s; %d gave a verdict\n", sum, total, percent(sum, total), verdicts
	else print "  no lab that was probed had any"
	for (i = 1; i <= problems; i++) print "  problem: " problem[i]
}
