package policy

import (
	"math/rand/v2"
	"testing"
)

// length is the length of a longest common subsequence, by the definition.
func length(a, b []int) int {
	best := make([]int, len(b)+1)
	for _, x := range a {
		before := 0
		for j, y := range b {
			was := best[j+1]
			if best[j+1] = max(best[j+1], best[j]); x == y {
				best[j+1] = max(best[j+1], before+1)
			}
			before = was
		}
	}
	return best[len(b)]
}

func TestTheLongestThatTwoListsHaveInCommon(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b := make([]int, r.IntN(12)), make([]int, r.IntN(12))
		for _, list := range [][]int{a, b} {
			for i := range list {
				list[i] = r.IntN(4)
			}
		}
		pairs := longest(a, b, func(x, y int) bool { return x == y })
		i, j := 0, 0
		for _, pair := range pairs {
			for i < len(a) && a[i] != pair[0] {
				i++
			}
			for j < len(b) && b[j] != pair[1] {
				j++
			}
			i, j = i+1, j+1
			if pair[0] != pair[1] || i > len(a) || j > len(b) {
				t.Fatalf("of %v and %v: %v", a, b, pairs)
			}
		}
		if len(pairs) != length(a, b) {
			t.Fatalf("of %v and %v: %v, and the longest has %d", a, b, pairs, length(a, b))
		}
	}
}

// Six of many thousand differ, far from each other.
func TestLongListsThatDifferLittle(t *testing.T) {
	t.Parallel()
	const many, apart, every = 5500, 6, 1000
	a, b := make([]int, many), make([]int, many)
	for i := range many {
		if a[i], b[i] = i, i; i%every == 10 {
			b[i] = -i
		}
	}
	if pairs := longest(a, b, func(x, y int) bool { return x == y }); len(pairs) != many-apart {
		t.Errorf("%d of %d are in common", len(pairs), many)
	}
}
