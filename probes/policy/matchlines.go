package policy

import (
	"fmt"
	"slices"
	"strings"
)

// notTold begins a line about what is not told.
const notTold = "not told:"

// compare finds for each line that is expected one that is so, and says which have none.
func (f *flowText) compare(lines []told) (differing []string) {
	pairs := pairing{of: map[int]int{}, fits: func(want, got int) bool { return like(f.lines[want], lines[got].text) }, count: len(lines)}
	for i, want := range f.lines {
		if want != anything && !pairs.find(i, map[int]bool{}) {
			differing = append(differing, fmt.Sprintf("    expected: %s", want))
		}
	}
	if slices.Contains(f.lines, anything) {
		return differing
	}
	for i, line := range lines {
		if _, taken := pairs.of[i]; taken {
			continue
		}
		differing = append(differing, fmt.Sprintf("    observed: %s", line.text))
		switch {
		case line.part != nil && len(line.part.Witness) > 0:
			differing = append(differing, fmt.Sprintf("      so was: %s", packetsText(line.part.Witness)))
		case line.why != "":
			differing = append(differing, fmt.Sprintf("      since: %s", line.why))
		}
	}
	return differing
}

// like says whether a line is as is expected, where "..." stands for anything.
func like(want, got string) bool {
	parts := strings.Split(want, anything)
	if !strings.HasPrefix(got, parts[0]) {
		return false
	}
	got = got[len(parts[0]):]
	for i, part := range parts[1:] {
		if i == len(parts)-2 {
			return strings.HasSuffix(got, part)
		}
		at := strings.Index(got, part)
		if at < 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return got == ""
}

// pairing gives each of some expectations one of what there is, so that as many as can be have one.
type pairing struct {
	of    map[int]int // of what there is, for which it is
	fits  func(want, got int) bool
	count int
}

// find looks for one, and has others take another one where they can.
func (p *pairing) find(want int, seen map[int]bool) bool {
	for got := range p.count {
		if seen[got] || !p.fits(want, got) {
			continue
		}
		seen[got] = true
		if other, taken := p.of[got]; !taken || p.find(other, seen) {
			p.of[got] = want
			return true
		}
	}
	return false
}
