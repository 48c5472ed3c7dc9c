package evidence

import (
	"slices"
	"strconv"
	"strings"
)

// Flow is a flow of an Open vSwitch.
type Flow struct {
	Table, Priority int
	// Cookie is its cookie, "0x2a"; "" for none.
	Cookie string
	// Match is what it is for, and Actions what it does, in the words of ovs-ofctl(8); ports are
	// called as nodes are.
	Match, Actions string
	// Missed is true of no flow, where none of the table's is for the packet.
	Missed bool
}

// String is the flow as ovs-ofctl add-flow takes it; of none, its table.
func (f Flow) String() string {
	if f.Missed {
		return "no flow of table " + strconv.Itoa(f.Table)
	}
	var words []string
	if f.Cookie != "" {
		words = append(words, "cookie="+f.Cookie)
	}
	if f.Table != 0 {
		words = append(words, "table="+strconv.Itoa(f.Table))
	}
	words = append(words, "priority="+strconv.Itoa(f.Priority))
	if f.Match != "" {
		words = append(words, f.Match)
	}
	return strings.Join(append(words, "actions="+f.Actions), ",")
}

// Is says whether text means this flow: its cookie ("cookie=0x2a"), what String is, or what
// was given to ovs-ofctl, as far as that is in the words which Open vSwitch prints. Fields may
// stand in any order; a table of 0, a priority of 32768, a cookie and the actions may be left
// out, but for a flow that has no other words.
func (f Flow) Is(text string) bool {
	switch text = strings.TrimSpace(text); {
	case text == "":
		return false
	case text == f.String():
		return true
	case f.Missed:
		return false
	}
	match, actions, _ := strings.Cut(text, "actions=")
	words := map[string]string{"table": "0", "priority": "32768"}
	var fields []string
	for _, word := range strings.FieldsFunc(match, func(r rune) bool { return r == ',' || r == ' ' }) {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "table", "priority", "cookie":
			words[name] = value
		default:
			fields = append(fields, word)
		}
	}
	cookie, has := words["cookie"]
	if has && (f.Cookie == "" || !sameNumber(cookie, f.Cookie)) {
		return false
	}
	if has && text == "cookie="+cookie {
		return true
	}
	own := strings.FieldsFunc(f.Match, func(r rune) bool { return r == ',' })
	slices.Sort(own)
	slices.Sort(fields)
	return words["table"] == strconv.Itoa(f.Table) && words["priority"] == strconv.Itoa(f.Priority) && slices.Equal(own, fields) &&
		(actions == "" || strings.TrimSpace(actions) == f.Actions)
}

// sameNumber says whether two numbers are one, whatever they are written in.
func sameNumber(a, b string) bool {
	x, err1 := strconv.ParseUint(a, 0, 64)
	y, err2 := strconv.ParseUint(b, 0, 64)
	return err1 == nil && err2 == nil && x == y
}
