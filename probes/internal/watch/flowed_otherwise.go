package watch

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nstest/nstest/harness"
	"golang.org/x/sys/unix"
)

// chosenFields are those of a packet that any program may choose, with the bits of each.
var chosenFields = map[string]uint64{"tp_src": 0xffff, "nw_tos": 0xfc, "nw_ecn": 3, "nw_ttl": 0xff, "ipv6_label": 0xfffff}

// mostChoices bounds how many packets are traced that a program may have sent instead.
const mostChoices = 64

// otherwise says why another packet of the asker's choice may pass, which the switch tells
// apart by its source port, type of service, time to live or flow label, or since it comes in
// fragments; "" where none does.
func (x crossing) otherwise(t harness.OVSTrace, flows []harness.OVSFlow) string {
	variants := []string{x.words}
	for _, field := range slices.Sorted(maps.Keys(chosenFields)) {
		if !slices.Contains(t.Fields, field) {
			continue
		}
		var more []string
		for _, value := range valuesOf(field, flows) {
			for _, words := range variants {
				more = append(more, with(words, field, value))
			}
		}
		if variants = append(variants, more...); len(variants) > mostChoices {
			return "it tells packets apart by more of what a program may choose than was tried (" + field + ")"
		}
	}
	for _, words := range variants[1:] {
		other, err := x.at.Trace(words)
		if err != nil {
			return fmt.Sprintf("whether another would pass could not be traced: %v", err)
		}
		if x.arrives(other) || other.Unfollowed != "" {
			return "another passes, which a program may send as well: " + words
		}
	}
	return x.inFragments()
}

// inFragments says why the packet may pass when it is so large that it is sent in fragments: the
// switch takes the first for no port's, as it does later ones. TCP has nothing to cut before
// it is connected.
func (x crossing) inFragments() string {
	if slices.Contains(strings.Split(x.words, ","), fmt.Sprintf("nw_proto=%d", unix.IPPROTO_TCP)) {
		return ""
	}
	for _, words := range []string{x.words + ",nw_frag=first", laterFragment(x.words)} {
		part, err := x.at.Trace(words)
		if err != nil {
			return fmt.Sprintf("whether its fragments would pass could not be traced: %v", err)
		}
		if !x.arrives(part) && part.Unfollowed == "" {
			return ""
		}
	}
	return "one that is so large that it is sent in fragments passes: drop these as well (priority=100,ip,ip_frag=yes,actions=drop, and the same of ipv6)"
}

// laterFragment is a packet's, in words: it has no header but that of IP.
func laterFragment(words string) string {
	var fields []string
	for _, f := range strings.Split(words, ",") {
		name, _, _ := strings.Cut(f, "=")
		switch {
		case strings.HasPrefix(name, "tcp_"), strings.HasPrefix(name, "udp_"), strings.HasPrefix(name, "icmp"):
		case name == "nw_proto" && slices.Contains(strings.Split(words, ","), "ipv6"):
			fields = append(fields, fmt.Sprintf("nw_proto=%d", unix.IPPROTO_FRAGMENT))
		default:
			fields = append(fields, f)
		}
	}
	return strings.Join(append(fields, "nw_frag=later"), ",")
}

// valuesOf are those of a field that flows tell apart: those that they name, and next to them.
func valuesOf(field string, flows []harness.OVSFlow) (values []uint64) {
	for _, f := range flows {
		for _, word := range strings.Split(f.Match, ",") {
			text, is := strings.CutPrefix(word, field+"=")
			if !is {
				continue
			}
			value, mask := uint64(0), chosenFields[field]
			number, masked, has := strings.Cut(text, "/")
			if _, err := fmt.Sscan(number, &value); err != nil {
				continue
			}
			if has {
				_, _ = fmt.Sscan(masked, &mask)
			}
			for _, v := range []uint64{value, value ^ mask&-mask, value ^ mask} {
				if !slices.Contains(values, v) {
					values = append(values, v)
				}
			}
		}
	}
	return values
}

// with is a packet in words with another value of a field.
func with(words, field string, value uint64) string {
	fields := strings.Split(words, ",")
	for i, f := range fields {
		name, _, _ := strings.Cut(f, "=")
		if name == field || field == "tp_src" && (name == "tcp_src" || name == "udp_src") {
			fields[i] = fmt.Sprintf("%s=%d", name, value)
		}
	}
	return strings.Join(fields, ",")
}
