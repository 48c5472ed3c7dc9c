package policy

import "slices"

// mostEdits is how many rules may be in one of two lists alone. Beyond it they are taken to have none in
// common: to look for these takes as much memory as the square.
const mostEdits = 2048

// longest are the pairs of a longest common subsequence, by what is shortest to edit (Myers, "An O(ND)
// Difference Algorithm and Its Variations", 1986): lists that differ little take little.
func longest[T any](a, b []T, same func(x, y T) bool) (pairs [][2]T) {
	limit := min(len(a)+len(b), mostEdits)
	far := make([]int, 2*limit+2) // how far in a one is by now, on each diagonal x-y, which is at +limit
	var rounds [][]int
	for d := 0; d <= limit; d++ {
		rounds = append(rounds, slices.Clone(far[limit-d:limit+d+1]))
		for k := -d; k <= d; k += 2 {
			x := far[limit+k+1]
			if k != -d && (k == d || far[limit+k-1] >= x) {
				x = far[limit+k-1] + 1
			}
			for x < len(a) && x-k < len(b) && same(a[x], b[x-k]) {
				x++
			}
			if far[limit+k] = x; x == len(a) && x-k == len(b) {
				return goneBack(a, b, rounds)
			}
		}
	}
	return nil
}

// goneBack goes from the end to the start, by what was reached in each round.
func goneBack[T any](a, b []T, rounds [][]int) (pairs [][2]T) {
	x, y := len(a), len(b)
	for d := len(rounds) - 1; d >= 0; d-- {
		from, k := 0, x-y // where the round began, in a
		if d > 0 {
			far := rounds[d] // at +d
			if down := k == -d || k != d && far[d+k-1] < far[d+k+1]; down {
				k, from = k+1, far[d+k+1]
			} else {
				k, from = k-1, far[d+k-1]
			}
		}
		for x > from && y > from-k {
			x, y = x-1, y-1
			pairs = append(pairs, [2]T{a[x], b[y]})
		}
		x, y = from, from-k
	}
	slices.Reverse(pairs)
	return pairs
}
