package evidence

import "sync"

// later is a rule's text that is read when it is first wanted.
type later struct {
	once           sync.Once
	read           func() (text, iptables string)
	text, iptables string
}

// ReadLater has Words ask for the text, and for that in iptables' words, when it is first
// wanted: nft takes some 5 ms to print it.
func (r *Rule) ReadLater(read func() (text, iptables string)) {
	if r != nil {
		r.later = &later{read: read}
	}
}

// Words is Text, read now if it was not.
func (r *Rule) Words() string {
	if r == nil {
		return ""
	}
	if r.Text != "" || r.later == nil {
		return r.Text
	}
	return r.later.now().text
}

func (r *Rule) iptables() string {
	if r.Iptables != "" || r.later == nil {
		return r.Iptables
	}
	return r.later.now().iptables
}

func (l *later) now() *later {
	l.once.Do(func() { l.text, l.iptables = l.read() })
	return l
}
