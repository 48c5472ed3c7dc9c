package harness

import (
	"fmt"
	"testing"
)

// Every test is in exactly one shard, whatever their number, and the others say
// which. They are of about one size.
func TestShards(t *testing.T) {
	t.Parallel()
	const tests = 1000
	for of := 1; of <= 9; of++ {
		count := make([]int, of)
		for i := range tests {
			name := fmt.Sprint("the firewall lets packet ", i, " pass")
			var in []int
			others := map[string]int{}
			for part := 1; part <= of; part++ {
				if other := (shard{part, of}).other(name); other != "" {
					others[other]++
					continue
				}
				in = append(in, part)
				count[part-1]++
			}
			if len(in) != 1 {
				t.Fatalf("test %d is in shards %v of %d", i, in, of)
			}
			if want := fmt.Sprintf("in another shard: %d/%d", in[0], of); others[want] != of-1 {
				t.Fatalf("of test %d in shard %d of %d the others say %v", i, in[0], of, others)
			}
		}
		for part, n := range count {
			if n < tests/of*3/4 || n > tests/of*5/4 {
				t.Errorf("shard %d of %d has %d of %d tests", part+1, of, n, tests)
			}
		}
	}
	if other := (shard{}).other("anything"); other != "" {
		t.Error("without shards a test is", other)
	}
}

func TestParseShard(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text, index string
		want        shard
		ok          bool
	}{
		{"", "", shard{}, true}, {"", "3", shard{}, true},
		{"1/1", "", shard{1, 1}, true}, {"2/5", "", shard{2, 5}, true}, {"2/5", "4", shard{2, 5}, true},
		{"/5", "0", shard{1, 5}, true}, {"/5", "4", shard{5, 5}, true},
		{text: "/5"}, {text: "/5", index: "5"}, {text: "/5", index: "-1"}, {text: "/5", index: "x"},
		{text: "0/5"}, {text: "6/5"}, {text: "1/0"}, {text: "5"}, {text: "a/5"}, {text: "1/b"}, {text: "1/-2"}, {text: "/"},
	} {
		got, err := parseShard(row.text, row.index)
		if got != row.want || (err == nil) != row.ok {
			t.Errorf("%q, %q: %v, %v", row.text, row.index, got, err)
		}
	}
}
