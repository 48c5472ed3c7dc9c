package main

import (
	"io"
	"strings"
	"testing"
)

func TestADeliveryIsWholeWhenAllThatWasSentIsHere(t *testing.T) {
	for _, test := range []struct {
		status        string
		output, files int
		up, whole     bool
		last          *exit
	}{
		{status: ""},
		{status: "up\n", up: true},
		{status: "up", up: false},
		{status: "up\nexit 3 5 7\n", output: 5, files: 7, up: true, whole: true, last: &exit{3, 5, 7}},
		{status: "up\nexit 3 5 7\n", output: 4, files: 7, up: true, last: &exit{3, 5, 7}},
		{status: "up\nexit 3 5 7\n", output: 5, files: 6, up: true, last: &exit{3, 5, 7}},
		{status: "up\nexit 3 5 7", output: 5, files: 7, up: true}, // of 70?
		{status: "up\nexit 3 5\n", output: 5, files: 7, up: true},
		{status: "up\nexit x\n", up: true},
	} {
		// Any of the ports may be the last to be read.
		for first := range 3 {
			ups, wholes := 0, 0
			d := &delivery{up: func() { ups++ }, complete: func() { wholes++ }}
			ports := []func() error{
				func() error {
					return drain(io.Discard, d.counted(strings.NewReader(strings.Repeat("x", test.output)), &d.output))
				},
				func() error {
					return drain(io.Discard, d.counted(strings.NewReader(strings.Repeat("x", test.files)), &d.files))
				},
				func() error { return drain(d.statusWriter(), strings.NewReader(test.status)) },
			}
			for i := range ports {
				if err := ports[(first+i)%len(ports)](); err != nil {
					t.Fatal(err)
				}
			}
			up, last := d.report()
			if up != test.up || d.whole() != test.whole || (last == nil) != (test.last == nil) || last != nil && *last != *test.last {
				t.Errorf("%q with %d and %d: up %t, whole %t, last %v", test.status, test.output, test.files, up, d.whole(), last)
			}
			if ups > 1 || wholes > 1 || up != (ups == 1) || d.whole() != (wholes == 1) {
				t.Errorf("%q: it was told %d and %d times", test.status, ups, wholes)
			}
		}
	}
}
