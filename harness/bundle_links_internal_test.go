package harness

import (
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"golang.org/x/sys/unix"
)

// A link whose carrier is gone is RUNNING until the kernel's link watch has had its turn.
func TestLinkFlags(t *testing.T) {
	t.Parallel()
	for want, flags := range map[string]uint32{
		"UP,LOWER_UP":           unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_RUNNING,
		"NO-CARRIER,UP":         unix.IFF_UP | unix.IFF_RUNNING,
		"NO-CARRIER,NOARP,UP":   unix.IFF_UP | unix.IFF_NOARP,
		"BROADCAST":             unix.IFF_BROADCAST,
		"PROMISC,UP,LOWER_UP":   unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_PROMISC, // dormant, and it has a carrier
		"LOOPBACK,UP,LOWER_UP":  unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_LOOPBACK | unix.IFF_RUNNING,
		"MULTICAST,UP,LOWER_UP": unix.IFF_UP | unix.IFF_LOWER_UP | unix.IFF_MULTICAST | unix.IFF_RUNNING,
	} {
		if got := linkFlags(flags); got != want {
			t.Errorf("%#x is %q, want %q", flags, got, want)
		}
	}
}

func TestTextOfABridgesPort(t *testing.T) {
	t.Parallel()
	for want, port := range map[string]inspect.BridgePort{
		"":                                      {},
		" isolated on flood off":                {Isolated: true, NoFlood: true},
		" vlans pvid 7 untagged [7] tagged [8]": {VLANs: &inspect.BridgeVLANs{PVID: 7, Untagged: []int{7}, Tagged: []int{8}}},
	} {
		if got := bridgePortText(port); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	for state, want := range map[string]string{"": "", "forwarding": "", "disabled": "", "listening": " stp listening", "learning": " stp learning", "blocking": " stp blocking"} {
		port := inspect.BridgePort{STP: state}
		if got := stpText(port); got != want || bridgePortText(port) != "" {
			t.Errorf("%q in state %s", got, state)
		}
	}
}
