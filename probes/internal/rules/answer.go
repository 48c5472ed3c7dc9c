package rules

// Answer says whether a rule matches a packet.
type Answer int

const (
	// Maybe is what cannot be told from what is known of the packet.
	Maybe Answer = iota
	// No and Yes are sure.
	No
	Yes
)

// String is the word.
func (a Answer) String() string { return [...]string{"maybe", "no", "yes"}[a] }

// and is the answer to both: No wins, then Maybe.
func (a Answer) and(b Answer) Answer {
	switch {
	case a == No || b == No:
		return No
	case a == Yes && b == Yes:
		return Yes
	}
	return Maybe
}

// or is the answer to either: Yes wins, then Maybe.
func (a Answer) or(b Answer) Answer { return a.not().and(b.not()).not() }

// not turns it over.
func (a Answer) not() Answer {
	switch a {
	case Yes:
		return No
	case No:
		return Yes
	}
	return Maybe
}

// invert turns it over if so.
func (a Answer) invert(so bool) Answer {
	if so {
		return a.not()
	}
	return a
}

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}
