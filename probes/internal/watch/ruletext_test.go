package watch

import "testing"

func TestTextOfAListing(t *testing.T) {
	t.Parallel()
	const listing = `table inet filter { # handle 12
	chain forward { # handle 1
		type filter hook forward priority filter; policy drop;
		ct state established,related accept # handle 2
		tcp dport { 22 comment "ssh", 80 } counter packets 17 bytes 1020 drop comment "no # handle 9" # handle 3
		ip saddr @blocked drop # handle 30
		tcp dport vmap { 22 : drop, 80 : jump web } # handle 31
		log prefix "a comment " drop comment "told" # handle 32
		log prefix " comment \" counter packets 1 bytes 2 drop # handle 33
		meta l4proto { tcp, udp } th dport 53 counter packets 0 bytes 0 quota over 10 mbytes drop # handle 34
		udp   dport   54  drop # handle 35 # handle 36
		drop # handle 37
	}
}
`
	for handle, want := range map[uint64]string{
		2:  "ct state established,related accept",
		3:  `tcp dport { 22 comment "ssh", 80 } counter drop`,
		30: "ip saddr @blocked drop",
		31: "tcp dport vmap { 22 : drop, 80 : jump web }",
		32: `log prefix "a comment " drop`,
		33: `log prefix " comment \" counter drop`,
		34: "meta l4proto { tcp, udp } th dport 53 counter quota over 10 mbytes drop",
		36: "udp dport 54 drop # handle 35",
		37: "drop",
		5:  "", 0: "", 300: "", 9: "", 35: "",
	} {
		if got := textOf(listing, handle); got != want {
			t.Errorf("handle %d: %q, want %q", handle, got, want)
		}
	}
}
