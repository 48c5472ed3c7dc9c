# Reads what a suite printed that failed, and prints again what its failed specs said, so
# that it stands at the end of a long log: the blocks between Ginkgo's rulers that hold a
# failure. Of a suite that has none, its end.

BEGIN { most = 80 } # lines of a block, and of an end

{
	bare = $0
	gsub(/\033\[[0-9;]*m/, "", bare)
}

bare ~ /^-+$/ && length(bare) >= 30 { tell(); next }

{
	line[++lines] = $0
	last[++all] = $0
}
bare ~ /^[^ ]* ?\[(FAILED|PANICKED|TIMEDOUT|INTERRUPTED|ABORTED)\]/ { failed = 1 }

END {
	tell()
	if (!told) for (i = all > most ? all - most + 1 : 1; i <= all; i++) print last[i]
}

function tell(i) {
	if (failed) {
		told = 1
		for (i = 1; i <= lines && i <= most; i++) print line[i]
		if (lines > most) print "  ... " lines - most " more lines, above"
	}
	lines = failed = 0
}
