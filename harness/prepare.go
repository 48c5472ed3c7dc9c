package harness

import (
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/nstest/nstest/topo"
)

// quiet holds what every node's namespace needs before its first link, so that
// a first packet passes and no answer is withheld:
//   - rp_filter off, or asymmetric labs lose packets depending on the
//     distribution's default, which new namespaces inherit;
//   - no rate limit on ICMP errors, or the seventh reject looks like a drop. An
//     empty mask lifts the limit per target and that for all targets
//     (icmp_msgs_per_sec), which is the machine's on older kernels. What remains is
//     a router's limit on "no route": five to a peer, then one a second (ip_error,
//     net.ipv4.route.error_cost), which is the machine's and so left alone;
//   - no duplicate address detection, or forwarded IPv6 waits a second or two
//     for the router's link-local address (all and default both count).
var (
	quiet4 = []topo.Sysctl{
		{Key: "net.ipv4.conf.all.rp_filter", Value: "0"},
		{Key: "net.ipv4.conf.default.rp_filter", Value: "0"},
		{Key: "net.ipv4.icmp_ratemask", Value: "0"},
	}
	quiet6 = []topo.Sysctl{
		{Key: "net.ipv6.conf.all.accept_dad", Value: "0"},
		{Key: "net.ipv6.conf.default.accept_dad", Value: "0"},
		{Key: "net.ipv6.icmp.ratemask", Value: "\n"},
	}
	// silent6 makes every interface come without IPv6: without it each link of
	// an IPv4 lab sends neighbour, router and multicast messages of its own.
	silent6 = topo.Sysctl{Key: "net.ipv6.conf.default.disable_ipv6", Value: "1"}
)

// fresh remembers what a new namespace has before anybody writes to it. Opening
// a file below /proc/sys in a new namespace costs 50 to 250 us, so what is
// right already is not written again.
var fresh struct {
	sync.Mutex
	values map[string]string
}

// absent is the fresh value of a key that is not there. No sysctl has it.
const absent = "\x00"

// freshValue is the key's value in a new namespace; the calling thread is in
// one, and has not written the key there.
func freshValue(key string) string {
	if inherits() == inheritOwn { // by whom it was made
		return currentValue(key)
	}
	fresh.Lock()
	defer fresh.Unlock()
	if value, ok := fresh.values[key]; ok {
		return value
	}
	value := currentValue(key)
	if fresh.values == nil {
		fresh.values = map[string]string{}
	}
	fresh.values[key] = value
	return value
}

func currentValue(key string) string {
	value, err := readSysctl(key)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return absent
	case err != nil:
		return ""
	}
	return value
}

// noIPv6 is true on a kernel that was started without IPv6.
var noIPv6 = sync.OnceValue(func() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err != nil
})

// setBase brings the calling thread's new namespace to the base values.
func setBase(sysctls []topo.Sysctl) error {
	for _, s := range sysctls {
		if value := freshValue(s.Key); value == strings.TrimSpace(s.Value) || value == absent {
			continue
		}
		if err := writeSysctl(s.Key, s.Value); err != nil {
			return err
		}
	}
	return nil
}

// base is what a node's namespace gets before its links.
func base(node *topo.NodePlan, ipv6 bool) []topo.Sysctl {
	sysctls := forwarding(node.Forward, ipv6)
	for _, s := range inherits().asDefault(ipv6) {
		if node.Forward && s.Key == "net.ipv4.conf.all.accept_redirects" {
			// The kernel turns it off with a change of forwarding.
			if freshValue(sysctls[0].Key) != sysctls[0].Value {
				continue
			}
			s.Value = "0"
		}
		sysctls = append(sysctls, s)
	}
	sysctls = append(sysctls, quiet4...)
	switch {
	case ipv6:
		sysctls = append(sysctls, quiet6...)
	case !noIPv6():
		sysctls = append(sysctls, silent6)
	}
	return sysctls
}

// forwarding turns it on or off.
func forwarding(on, ipv6 bool) []topo.Sysctl {
	value := map[bool]string{false: "0", true: "1"}[on]
	sysctls := []topo.Sysctl{{Key: "net.ipv4.ip_forward", Value: value}}
	if ipv6 {
		sysctls = append(sysctls, topo.Sysctl{Key: "net.ipv6.conf.all.forwarding", Value: value})
	}
	return sysctls
}

// ofPort says whether a declared sysctl is about one of the node's interfaces, which
// must exist before it can be set.
func ofPort(node *topo.NodePlan, key string) bool {
	for _, port := range node.Devices {
		if strings.Contains(key, "."+port.Name+".") || strings.Contains(key, "/"+port.Name+"/") {
			return true
		}
	}
	return false
}

// setDeclared sets the node's own sysctls: those of its ports, or the others.
// The calling thread is in the node's namespace.
func setDeclared(node *topo.NodePlan, ports bool) error {
	for _, s := range node.Sysctls {
		if ofPort(node, s.Key) != ports {
			continue
		}
		if err := writeSysctl(s.Key, s.Value); err != nil {
			return err
		}
	}
	return nil
}

// hasIPv6 says whether anything in the plan has an IPv6 address.
func hasIPv6(plan *topo.Plan) bool {
	for i := range plan.Nodes {
		if plan.Nodes[i].HasIPv6() {
			return true
		}
	}
	return false
}
