package topo

import (
	"fmt"
	"strings"
)

// Mistakes is all that is wrong with a declaration: an error each, which names
// the place and says what to do.
type Mistakes struct {
	Network string
	List    []error
}

var _ interface{ Unwrap() []error } = (*Mistakes)(nil)

// Error lists the mistakes, a line each.
func (m *Mistakes) Error() string {
	if m == nil {
		return ""
	}
	network := "network"
	if m.Network != "" {
		network += " " + m.Network
	}
	lines := make([]string, len(m.List))
	for i, err := range m.List {
		lines[i] = err.Error()
	}
	if len(lines) == 1 {
		return network + ": " + lines[0]
	}
	return network + " has " + plural(len(lines), "mistake") + ":\n  " + strings.Join(lines, "\n  ")
}

// Unwrap makes errors.Is and errors.As look at each mistake.
func (m *Mistakes) Unwrap() []error {
	if m == nil {
		return nil
	}
	return m.List
}

func (p *planner) wrong(format string, args ...any) {
	p.mistakes = append(p.mistakes, fmt.Errorf(format, args...))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
