package watch

import "slices"

// lately is what was noted last of some kind, and what of it the rules have at this moment: that is
// noted if they drop it.
type lately[T any] struct {
	last   []T
	traced map[tracedID]T
}

// tracedID is a packet that rules have, by the kernel's number.
type tracedID struct {
	point *point
	id    uint32
}

// mostLately bounds how many are kept.
const mostLately = 4096

func (l *lately[T]) add(one T) {
	if len(l.last) >= mostLately {
		l.last = slices.Delete(l.last, 0, mostLately/2)
	}
	l.last = append(l.last, one)
}

// has notes that rules have one.
func (l *lately[T]) has(id tracedID, one T) {
	if l.traced == nil {
		l.traced = map[tracedID]T{}
	}
	if len(l.traced) >= mostLately {
		clear(l.traced)
	}
	l.traced[id] = one
}

// take is what rules have with a number, and have no more; false where it is none of these.
func (l *lately[T]) take(id tracedID) (one T, had bool) {
	one, had = l.traced[id]
	delete(l.traced, id)
	return one, had
}
