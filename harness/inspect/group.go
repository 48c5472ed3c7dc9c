package inspect

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// Group is an address at which an interface hears what is sent to several: a multicast group that
// its kernel or a program joined, or an anycast address.
type Group struct {
	Interface string
	Addr      netip.Addr
}

// Groups are those of the calling thread's namespace: /proc/net/igmp, igmp6 and anycast6.
func Groups() (all []Group, err error) {
	for name, parse := range map[string]func(string) []Group{"igmp": groups4, "igmp6": groups6, "anycast6": groups6} {
		text, err := os.ReadFile("/proc/thread-self/net/" + name)
		if errors.Is(err, os.ErrNotExist) {
			continue // this kernel has none
		}
		if err != nil {
			return nil, fmt.Errorf("read groups: %w", err)
		}
		all = append(all, parse(string(text))...)
	}
	return all, nil
}

// groups4 reads a line of each interface, "2 lan : 1 V3", and below it one of each group: the
// address as the machine has a number of it, "010000E0 1 0:00000000 0".
func groups4(text string) (all []Group) {
	device := ""
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) < 2:
		case !strings.HasPrefix(line, "\t"):
			device = strings.TrimSuffix(fields[1], ":")
		default:
			if n, err := strconv.ParseUint(fields[0], 16, 32); err == nil {
				all = append(all, Group{device, netip.AddrFrom4([4]byte(binary.NativeEndian.AppendUint32(nil, uint32(n))))})
			}
		}
	}
	return all
}

// groups6 reads a line of each: "2 lan ff020000000000000000000000000001 1 0000000C 0".
func groups6(text string) (all []Group) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		if raw, err := hex.DecodeString(fields[2]); err == nil && len(raw) == 16 {
			all = append(all, Group{fields[1], netip.AddrFrom16([16]byte(raw))})
		}
	}
	return all
}
