package harness

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/nstest/nstest/topo"
)

// The sysctls that decide what becomes of a packet: all that a namespace has one of, and
// those of its links that decide. All there are would be a thousand files a node, and half a
// second.
var (
	decisive      = []string{"net/ipv4", "net/ipv6", "net/ipv6/icmp", "net/netfilter", "net/bridge"}
	decisiveLinks = slices.Concat([]string{
		"net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/rp_filter", "net/ipv4/conf/*/accept_source_route",
		"net/ipv6/conf/*/forwarding", "net/ipv6/conf/*/disable_ipv6",
	}, ofLinks("net/ipv4", defaults4), ofLinks("net/ipv6", defaults6))
	// undecided are those that decide nothing of a lab's: how many connections there are, and who
	// may ping, which probes set.
	undecided = []string{"nf_conntrack_count", "ping_group_range"}
)

// ofLinks are the files of those that each link has one of.
func ofLinks(family string, sysctls []topo.Sysctl) (files []string) {
	for _, s := range sysctls {
		files = append(files, family+"/conf/*/"+s.Key)
	}
	return files
}

// decisiveSysctls writes those of the calling thread's namespace.
func (s *state) decisiveSysctls(w io.Writer) error {
	var keys []string
	for _, key := range decisiveLinks { // forwarding first, which changes others
		for _, link := range append([]string{"all"}, slices.Sorted(maps.Values(s.names))...) {
			keys = append(keys, strings.Replace(key, "*", link, 1))
		}
	}
	for _, folder := range decisive {
		entries, err := os.ReadDir(sysctlRoot + folder)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, entry := range entries {
			if !entry.IsDir() && !slices.Contains(undecided, entry.Name()) {
				keys = append(keys, folder+"/"+entry.Name())
			}
		}
	}
	for _, key := range keys {
		if _, err := fmt.Fprintf(w, "%s = %s\n", sysctlKey(key), strings.TrimSpace(slurp(sysctlRoot+key))); err != nil {
			return err
		}
	}
	return nil
}
