package device

import "golang.org/x/sys/unix"

// Both are made by opening /dev/net/tun, and not by a message.
var (
	tun = &Kind{Name: "tun", Quiet: true, Opens: unix.IFF_TUN}
	tap = &Kind{Name: "tap", Opens: unix.IFF_TAP}
)
