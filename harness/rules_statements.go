package harness

import "strings"

// statement is one of nftables text: "flush ruleset", or with all that is in its braces
// "table inet f { ... }".
type statement struct {
	text string
	// head is what stands before the first brace, and body what is between that and the
	// last: "" and false without braces.
	head, body string
	braces     bool
}

// words are those of the statement's head: one at least.
func (s statement) words() []string {
	if words := strings.Fields(s.head); len(words) > 0 {
		return words
	}
	return []string{""}
}

// statements are those of nftables text, which newlines and semicolons end outside of
// braces and quotes. Comments are left out.
func statements(text string) (all []statement) {
	var b strings.Builder
	depth, first, last, quoted := 0, -1, -1, false
	end := func() {
		s := statement{text: strings.TrimSpace(b.String())}
		if s.head = s.text; first >= 0 && last > first {
			whole := b.String()
			s.head, s.body, s.braces = strings.TrimSpace(whole[:first]), whole[first+1:last], true
		}
		if s.text != "" {
			all = append(all, s)
		}
		b.Reset()
		depth, first, last, quoted = 0, -1, -1, false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
			continue
		case c == '\\' && i+1 < len(text) && text[i+1] == '\n':
			b.WriteByte(' ')
			i++
			continue
		case c == '{':
			if depth++; first < 0 {
				first = b.Len()
			}
		case c == '}':
			depth, last = depth-1, b.Len()
		case (c == '\n' || c == ';') && depth <= 0:
			end()
			continue
		}
		b.WriteByte(c)
	}
	end()
	return all
}

// elements are those of "{ 1, 2 : jump c }", without its braces.
func elements(body string) (all []string) {
	depth, from, quoted := 0, 0, false
	add := func(to int) {
		if element := strings.TrimSpace(body[from:to]); element != "" {
			all = append(all, element)
		}
		from = to + 1
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			depth--
		case c == ',' && depth == 0:
			add(i)
		}
	}
	add(len(body))
	return all
}
