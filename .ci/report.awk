# Reads suites' `-ginkgo.v`, of one process or as .ci/suites prints it: drops what is
# only Ginkgo's frame around a spec that passed, so that each is its sentence and what
# it printed, and ends with a summary: a line a suite, and why specs were skipped.

{
	bare = $0
	gsub(/\033\[[0-9;]*m/, "", bare)
}

# A skipped spec is told twice; its reason is enough.
bare ~ /^S \[SKIPPED\]/ { skipping = 1 }
bare ~ /^  \[SKIPPED\] / && bare !~ /^  \[SKIPPED\] in \[/ {
	sub(/^  \[SKIPPED\] /, "", bare)
	if (!skipped[bare]++) reasons[++why] = bare
	print "  skipped: " bare
}
bare ~ /^-+$/ && length(bare) >= 30 { skipping = 0; next }
skipping || bare ~ /^  \[SKIPPED\]/ { next }

# The frame: rulers, a spec's place in the source (a failure repeats it), its time.
bare ~ /^=+$/ || bare ~ /^\/.*\.go:[0-9]+$/ || bare ~ /^• \[[0-9.]+ seconds\]$/ || bare ~ /^  (Timeline >>|<< Timeline)$/ { framed = 1; next }
bare == "" && framed { next }
{ framed = 0 }
bare ~ /^=== RUN / || bare ~ /^PASS$/ || bare ~ /^Ginkgo ran 1 suite in / || bare ~ /^Test Suite (Passed|Failed)$/ { next }

bare ~ /^Running Suite: / {
	suite = bare
	sub(/^Running Suite: /, "", suite)
	sub(/ - \/.*$/, "", suite)
}

bare ~ /^Ran [0-9]+ of [0-9]+ Specs/ { took = $(NF - 1) }

bare ~ /^(SUCCESS|FAIL)! -- / {
	counts = bare
	sub(/^.* -- /, "", counts)
	gsub(/ \| /, ", ", counts)
	verdict[++suites] = bare ~ /^SUCCESS/ ? "ok" : "FAIL"
	name[suites] = suite
	told[suites] = tolower(counts) " in " took " s"
	if (length(suite) > width) width = length(suite)
}

# A package that did not get as far as its specs.
bare ~ /^FAIL\t/ { failed[++packages] = bare }

{
	print
	fflush()
}

END {
	print "\n== summary =="
	for (i = 1; i <= suites; i++) printf "  %-4s  %-" width "s  %s\n", verdict[i], name[i], told[i]
	for (i = 1; i <= why; i++) printf "  skipped %d: %s\n", skipped[reasons[i]], reasons[i]
	for (i = 1; i <= packages; i++) print "  " failed[i]
	if (!suites) print "  no suite ran"
}
