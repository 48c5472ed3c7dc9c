package main

import "testing"

func TestAccountsAreAddedOnce(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"none":                   {"root:x:0:\n", "root:x:0:\nkvm:x:1:\n"},
		"there":                  {"root:x:0:\nkvm:x:7:\n", "root:x:0:\nkvm:x:7:\n"},
		"there, first":           {"kvm:x:7:\nroot:x:0:", "kvm:x:7:\nroot:x:0:"},
		"the end of a name":      {"xkvm:x:7:\n", "xkvm:x:7:\nkvm:x:1:\n"},
		"without a last newline": {"root:x:0:", "root:x:0:\nkvm:x:1:\n"},
	} {
		if got := withAccounts(test.text, []string{"kvm:x:1:"}); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
