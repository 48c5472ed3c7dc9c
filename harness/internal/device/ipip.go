package device

import "github.com/nstest/nstest/topo"

// Of linux/if_tunnel.h.
const (
	iptunLocal  = 2 // IFLA_IPTUN_LOCAL
	iptunRemote = 3 // IFLA_IPTUN_REMOTE
)

var ipip = &Kind{Name: "ipip", Quiet: true, Data: iptunData}

func iptunData(a *Attributes, d *topo.DevicePlan) {
	a.Addr(iptunLocal, d.Local)
	for _, remote := range d.Remotes {
		a.Addr(iptunRemote, remote)
	}
}
