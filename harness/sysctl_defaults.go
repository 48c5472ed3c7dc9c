package harness

import (
	"sync"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// A new namespace does not have the kernel's defaults, but copies of what the machine's
// own has now: of IPv4's conf/all and conf/default always, of IPv6's where
// net.core.devconf_inherit_init_net says so (Documentation/admin-guide/sysctl/net.rst).
// So a Host forwards on a machine with Docker. These are the kernel's own values of what
// decides about packets, to which every namespace of a lab is set: ipv4_devconf and
// ipv4_devconf_dflt in net/ipv4/devinet.c, ipv6_devconf and ipv6_devconf_dflt in
// net/ipv6/addrconf.c, and what they are for in Documentation/networking/ip-sysctl.rst.
// A key that a kernel lacks is passed over.
var (
	defaults4 = []topo.Sysctl{
		{Key: "accept_local", Value: "0"}, {Key: "accept_redirects", Value: "1"}, {Key: "arp_accept", Value: "0"},
		{Key: "arp_announce", Value: "0"}, {Key: "arp_evict_nocarrier", Value: "1"}, {Key: "arp_filter", Value: "0"},
		{Key: "arp_ignore", Value: "0"}, {Key: "arp_notify", Value: "0"}, {Key: "bc_forwarding", Value: "0"},
		{Key: "bootp_relay", Value: "0"}, {Key: "disable_policy", Value: "0"}, {Key: "disable_xfrm", Value: "0"},
		{Key: "drop_gratuitous_arp", Value: "0"}, {Key: "drop_unicast_in_l2_multicast", Value: "0"},
		{Key: "ignore_routes_with_linkdown", Value: "0"}, {Key: "medium_id", Value: "0"}, {Key: "promote_secondaries", Value: "0"},
		{Key: "proxy_arp", Value: "0"}, {Key: "proxy_arp_pvlan", Value: "0"}, {Key: "route_localnet", Value: "0"},
		{Key: "secure_redirects", Value: "1"}, {Key: "send_redirects", Value: "1"}, {Key: "shared_media", Value: "1"},
		{Key: "src_valid_mark", Value: "0"},
	}
	defaults6 = []topo.Sysctl{
		{Key: "accept_ra", Value: "1"}, {Key: "accept_redirects", Value: "1"}, {Key: "accept_source_route", Value: "0"},
		{Key: "accept_untracked_na", Value: "0"}, {Key: "addr_gen_mode", Value: "0"}, {Key: "autoconf", Value: "1"},
		{Key: "dad_transmits", Value: "1"}, {Key: "disable_policy", Value: "0"}, {Key: "drop_unicast_in_l2_multicast", Value: "0"},
		{Key: "drop_unsolicited_na", Value: "0"}, {Key: "force_forwarding", Value: "0"}, {Key: "hop_limit", Value: "64"},
		{Key: "ignore_routes_with_linkdown", Value: "0"}, {Key: "keep_addr_on_down", Value: "0"}, {Key: "ndisc_evict_nocarrier", Value: "1"},
		{Key: "ndisc_notify", Value: "0"}, {Key: "optimistic_dad", Value: "0"}, {Key: "proxy_ndp", Value: "0"},
		{Key: "seg6_enabled", Value: "0"}, {Key: "use_oif_addrs_only", Value: "0"}, {Key: "use_tempaddr", Value: "0"},
	}
	// A bridge in a node hands its frames to the rules of IP where the machine has
	// br_netfilter loaded, as with Docker, and not elsewhere.
	defaultsBridge = []topo.Sysctl{
		{Key: "net.bridge.bridge-nf-call-arptables", Value: "0"}, {Key: "net.bridge.bridge-nf-call-ip6tables", Value: "0"},
		{Key: "net.bridge.bridge-nf-call-iptables", Value: "0"},
	}
)

// inheritance is devconf_inherit_init_net.
type inheritance int

const (
	inherit4    inheritance = iota // IPv4's are the machine's
	inheritBoth                    // IPv6's as well
	inheritNone                    // all are the kernel's defaults
	inheritOwn                     // all are those of the namespace that the maker was in
)

// inherits is what this machine says, and only in its own namespace: preflight asks
// before there is another. In a container, which is not told, it is tried whether it is
// inheritOwn; else it may be any of the others.
var inherits = sync.OnceValue(func() inheritance {
	if value := readNumber("/proc/sys/net/core/devconf_inherit_init_net"); value >= 0 {
		return inheritance(value)
	}
	found := inheritBoth
	done := make(chan struct{})
	onOwnThread(func() {
		defer close(done)
		const key = "net.ipv4.conf.default.medium_id"
		if unix.Unshare(unix.CLONE_NEWNET) != nil || writeSysctl(key, "7") != nil || unix.Unshare(unix.CLONE_NEWNET) != nil {
			return
		}
		if value, err := readSysctl(key); err == nil && value == "7" {
			found = inheritOwn
		}
	})
	<-done
	return found
})

// asDefault are the kernel's defaults, as far as a namespace may lack them, but for
// forwarding, which comes first: the kernel sets others by it (inet_forward_change in
// net/ipv4/devinet.c).
func (i inheritance) asDefault(ipv6 bool) (sysctls []topo.Sysctl) {
	both := func(family string, of []topo.Sysctl) {
		for _, s := range of {
			for _, conf := range []string{"all", "default"} {
				sysctls = append(sysctls, topo.Sysctl{Key: "net." + family + ".conf." + conf + "." + s.Key, Value: s.Value})
			}
		}
	}
	if i != inheritNone {
		both("ipv4", defaults4)
		sysctls = append(sysctls, topo.Sysctl{Key: "net.ipv4.conf.all.accept_source_route", Value: "0"},
			topo.Sysctl{Key: "net.ipv4.conf.default.accept_source_route", Value: "1"})
	}
	if ipv6 && (i == inheritBoth || i == inheritOwn) {
		both("ipv6", defaults6)
		sysctls = append(sysctls, topo.Sysctl{Key: "net.ipv6.conf.all.disable_ipv6", Value: "0"},
			topo.Sysctl{Key: "net.ipv6.conf.default.disable_ipv6", Value: "0"})
	}
	return append(sysctls, defaultsBridge...)
}
