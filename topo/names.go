package topo

import (
	"fmt"
	"hash/fnv"
	"net"
	"strings"
)

// maxInterface is IFNAMSIZ less its zero byte (linux/if.h).
const maxInterface = 15

// namer gives interfaces their names in one namespace.
type namer struct {
	taken map[string]bool
	next  map[string]int // the number to try next, by base: no search from 2 each time
}

// newNamer knows the names that an interface cannot have: the loopback's, and
// those that mean all interfaces below /proc/sys/net.
func newNamer() *namer {
	return &namer{taken: map[string]bool{"lo": true, "all": true, "default": true}, next: map[string]int{}}
}

// name is the interface's name for a segment or node: the last part of the
// name, cut to fit, with -2, -3 and so on when that is taken.
func (n *namer) name(of string) string {
	base := interfaceName(of)
	if !n.taken[base] {
		n.taken[base] = true
		return base
	}
	for i := max(n.next[base], 2); ; i++ {
		suffix := fmt.Sprintf("-%d", i)
		name := base[:min(len(base), maxInterface-len(suffix))] + suffix
		if !n.taken[name] {
			n.taken[name] = true
			n.next[base] = i + 1
			return name
		}
	}
}

// interfaceName makes of a name what the kernel takes (dev_valid_name): no
// slash, colon or white space, not "." or "..", 15 bytes. Other bytes than those
// of plain names become "_", so that every tool can print them.
func interfaceName(of string) string {
	base := of[strings.LastIndexByte(of, '/')+1:]
	base = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, base)
	base = base[:min(len(base), maxInterface)]
	if strings.Trim(base, ".") == "" {
		return "port"
	}
	return base
}

// makeMAC is a MAC made of names: locally administered and not a group's (IEEE
// 802, the second and first lowest bit of the first byte), the same every time.
func makeMAC(taken map[[6]byte]bool, parts ...string) [6]byte {
	hash := fnv.New64a()
	for _, part := range parts {
		_, _ = hash.Write([]byte(part))
		_, _ = hash.Write([]byte{0})
	}
	for sum := hash.Sum64(); ; sum++ {
		mac := [6]byte{byte(sum>>40)&^3 | 2, byte(sum >> 32), byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
		if !taken[mac] {
			taken[mac] = true
			return mac
		}
	}
}

// parseMAC reads a chosen MAC: six bytes, not a group's.
func parseMAC(text string) (mac [6]byte, err error) {
	hardware, err := net.ParseMAC(text)
	switch {
	case err != nil || len(hardware) != len(mac):
		return mac, fmt.Errorf("MAC %q: write it like 02:00:00:00:00:01", text)
	case hardware[0]&1 != 0:
		return mac, fmt.Errorf("MAC %q is a group's: clear the lowest bit of its first byte", text)
	}
	copy(mac[:], hardware)
	if mac == [6]byte{} {
		return mac, fmt.Errorf("MAC %q is no port's: choose another", text)
	}
	return mac, nil
}
