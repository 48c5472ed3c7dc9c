package policy_test

import (
	"os"
	"strconv"
)

// seeds is how many rulesets are generated: NSTEST_POLICY_N, or 20.
func seeds() int {
	const usual = 20
	if n, err := strconv.Atoi(os.Getenv("NSTEST_POLICY_N")); err == nil {
		return n
	}
	return usual
}
