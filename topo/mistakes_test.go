package topo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/topo"
)

// mistake is a declaration and every message that it gets.
type mistake struct {
	name    string
	declare func(n *topo.Network)
	want    []string
}

// check validates each row and compares every message.
func check(t *testing.T, rows []mistake) {
	t.Helper()
	for _, row := range rows {
		network := topo.New("office")
		row.declare(network)
		var mistakes *topo.Mistakes
		if err := network.Validate(); !errors.As(err, &mistakes) {
			t.Errorf("%s: %v is not *Mistakes", row.name, err)
			continue
		}
		var got []string
		for _, err := range mistakes.List {
			got = append(got, err.Error())
		}
		if strings.Join(got, "\n") != strings.Join(row.want, "\n") {
			t.Errorf("%s: got:\n\t%s\nwant:\n\t%s", row.name, strings.Join(got, "\n\t"), strings.Join(row.want, "\n\t"))
		}
	}
}

// one is a row with a single message.
func one(want string, declare func(n *topo.Network)) mistake {
	return mistake{want, declare, []string{want}}
}

// onLan puts nodes a and b on a switch, and gives b's port to choose.
func onLan(prefixes []string, choose func(lan *topo.Segment) topo.Attachment) func(n *topo.Network) {
	return func(n *topo.Network) {
		lan := n.Switch("lan", prefixes...)
		n.Host("a", lan)
		n.Host("b", choose(lan))
	}
}

var dual = []string{"10.0.1.0/24", "fd00:1::/64"}

func TestMistakesInNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	check(t, []mistake{
		one("segment without a name: give it one", func(n *topo.Network) { n.Switch("") }),
		one("node without a name: give it one", func(n *topo.Network) { n.Host("") }),
		one("segment without a name: give it one", func(n *topo.Network) {
			n.Switch("")
			n.Host("a").Dummy("dummy0").Address("10.0.1.1/24") // which is on no segment either
		}),
		one("segment "+long+": the name has 64 bytes: shorten it to 63", func(n *topo.Network) { n.Switch(long) }),
		one("node "+long+": the name has 64 bytes: shorten it to 63", func(n *topo.Network) { n.Host(long) }),
		one(`node "a b": the name has white space or control characters: take them out`, func(n *topo.Network) { n.Host("a b") }),
		one(`node "a\u00a0b": the name has white space or control characters: take them out`, func(n *topo.Network) { n.Host("a\u00a0b") }),
		one(`segment "a\x00": the name has white space or control characters: take them out`, func(n *topo.Network) { n.Switch("a\x00") }),
		one(`segment "a\xff": the name has white space or control characters: take them out`, func(n *topo.Network) { n.Switch("a\xff") }),
		one("node bob: declared twice: give each a name of its own", func(n *topo.Network) { n.Host("bob"); n.Router("bob"); n.Host("bob") }),
		one("segment lan: declared twice: give each a name of its own", func(n *topo.Network) { n.Switch("lan"); n.Switch("lan") }),
		{"two without a name", func(n *topo.Network) { n.Host(""); n.Host("") }, []string{
			"node without a name: give it one", "node without a name: give it one"}},
	})
	if got, want := topo.New("").Validate().Error(), "network: network without a name: give it one"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestMistakesInPrefixes(t *testing.T) {
	t.Parallel()
	prefix := func(prefixes ...string) func(n *topo.Network) {
		return func(n *topo.Network) { n.Host("a", n.Switch("lan", prefixes...)) }
	}
	check(t, []mistake{
		one(`segment lan: prefix "": write it like 10.0.1.0/24 or fd00:1::/64`, prefix("")),
		one(`segment lan: prefix "10.0.1.0": write it like 10.0.1.0/24 or fd00:1::/64`, prefix("10.0.1.0")),
		one(`segment lan: prefix "10.0.1.0/33": write it like 10.0.1.0/24 or fd00:1::/64`, prefix("10.0.1.0/33")),
		one(`segment lan: prefix "fd00::/129": write it like 10.0.1.0/24 or fd00:1::/64`, prefix("fd00::/129")),
		one("segment lan: prefix ::ffff:10.0.1.0/120: write an IPv4 prefix as such", prefix("::ffff:10.0.1.0/120")),
		one("segment lan: prefix 10.0.1.5/24 has bits after its length: write 10.0.1.0/24, and choose a port's address with At", prefix("10.0.1.5/24")),
		one("segment lan: prefix 10.0.1.0/24 overlaps 10.0.0.0/16 of the same segment: take one out", prefix("10.0.0.0/16", "10.0.1.0/24")),
		one("segment lan: prefix fd00::/64 overlaps fd00::/64 of the same segment: take one out", prefix("fd00::/64", "fd00::/64")),
		one("segment lan: prefix 0.0.0.0/0 has addresses of no network: choose another", prefix("0.0.0.0/0")),
		one("segment lan: prefix 127.0.1.0/24 has addresses of the loopback: choose another", prefix("127.0.1.0/24")),
		one("segment lan: prefix 224.0.1.0/24 has addresses of multicast groups: choose another", prefix("224.0.1.0/24")),
		one("segment lan: prefix ::/64 has addresses of the loopback: choose another", prefix("::/64")),
		one("segment lan: prefix ff02::/64 has addresses of multicast groups: choose another", prefix("ff02::/64")),
		one("segment lan: prefix fe80::/64 has addresses that every port makes up for itself: choose another", prefix("fe80::/64")),
		one("node c: segment lan: prefix 10.0.1.0/30 is full: widen it", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/30")
			for _, name := range []string{"a", "b", "c", "d"} {
				n.Host(name, lan)
			}
		}),
		{"the same prefix full on two segments", func(n *topo.Network) {
			for _, name := range []string{"a", "b"} {
				wire := n.Wire(name, "fd00::1/128", "10.0.1.4/31")
				n.Host(name+"1", wire)
				n.Host(name+"2", wire)
			}
		}, []string{
			"node a2: segment a: prefix fd00::1/128 is full: widen it",
			"node b2: segment b: prefix fd00::1/128 is full: widen it"}},
	})
}

func TestMistakesInPorts(t *testing.T) {
	t.Parallel()
	check(t, []mistake{
		one("segment w: a wire has two ports, this one has 0: attach two nodes, or declare a switch", func(n *topo.Network) { n.Wire("w") }),
		one("segment w: a wire has two ports, this one has 1 (a): attach two nodes, or declare a switch", func(n *topo.Network) { n.Host("a", n.Wire("w")) }),
		one("segment w: a wire has two ports, this one has 3 (a, b, c): attach two nodes, or declare a switch", func(n *topo.Network) {
			w := n.Wire("w", "10.0.1.0/24")
			n.Host("a", w)
			n.Host("b", w)
			n.Router("c", w)
		}),
		one("segment w: both ends of the wire are node a's: attach another node, or declare a switch", func(n *topo.Network) {
			w := n.Wire("w", "10.0.1.0/24")
			n.Host("a", w, w)
		}),
		one("segment lan: a bridge has 1023 ports at most, this one has 1024: spread them over several switches", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.0.0/16")
			for i := range 1024 {
				n.Host(fmt.Sprintf("h%d", i), lan)
			}
		}),
		one("node a: attached to no segment: declare it in this network", func(n *topo.Network) { n.Host("a", nil) }),
		one("node a: attached to segment lan of network other: declare it in this network", func(n *topo.Network) {
			n.Switch("lan", "10.0.1.0/24")
			n.Host("a", topo.New("other").Switch("lan", "10.0.1.0/24"))
		}),
		one(`node a: attached to segment "" of no network: declare it in this network`, func(n *topo.Network) { n.Host("a", new(topo.Segment)) }),
		one("node b: segment lan: MTU 67: it must be between 68 and 65535", onLan([]string{"10.0.1.0/24"}, func(lan *topo.Segment) topo.Attachment { return lan.At().MTU(67) })),
		one("node b: segment lan: MTU 65536: with IPv6 it must be between 1280 and 65535", onLan(dual, func(lan *topo.Segment) topo.Attachment { return lan.At().MTU(65536) })),
		one("node b: segment lan: MTU 1279: with IPv6 it must be between 1280 and 65535", onLan(dual, func(lan *topo.Segment) topo.Attachment { return lan.At().MTU(1279) })),
		one("node b: segment lan: MTU 600: with IPv6 it must be between 1280 and 65535", onLan(nil, func(lan *topo.Segment) topo.Attachment { return lan.MTU(600).Also("fd00::1/128") })),
		one("segment lan: MTU -1: it must be between 68 and 65535", func(n *topo.Network) { n.Host("a", n.Switch("lan").MTU(-1)) }),
		one("segment lan: MTU 576: with IPv6 it must be between 1280 and 65535", func(n *topo.Network) { n.Host("a", n.Switch("lan", "fd00::/64").MTU(576)) }),
	})
}

func TestMistakesInMACs(t *testing.T) {
	t.Parallel()
	mac := func(text string) func(n *topo.Network) {
		return onLan(dual, func(lan *topo.Segment) topo.Attachment { return lan.MAC(text) })
	}
	check(t, []mistake{
		one(`node b: segment lan: MAC "": write it like 02:00:00:00:00:01`, mac("")),
		one(`node b: segment lan: MAC "nonsense": write it like 02:00:00:00:00:01`, mac("nonsense")),
		one(`node b: segment lan: MAC "02:00:00:00:00:00:00:01": write it like 02:00:00:00:00:01`, mac("02:00:00:00:00:00:00:01")),
		one("node b: segment lan: MAC 01:00:5e:00:00:01 is a group's: clear the lowest bit of its first byte", mac("01-00-5e-00-00-01")),
		one("node b: segment lan: MAC ff:ff:ff:ff:ff:ff is a group's: clear the lowest bit of its first byte", mac("ff:ff:ff:ff:ff:ff")),
		one("node b: segment lan: MAC 00:00:00:00:00:00 is no port's: choose another", mac("0000.0000.0000")),
		one("node c: segment lan: MAC 02:00:00:00:00:01 is node a's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			lan := n.Switch("lan")
			n.Host("a", lan.MAC("02:00:00:00:00:01"))
			n.Host("b", lan.MAC("02:00:00:00:00:02"))
			n.Host("c", lan.MAC("02-00-00-00-00-01"))
		}),
		one("node b: segment w: MAC 02:00:00:00:00:01 is node a's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			w := n.Wire("w")
			n.Host("a", w.MAC("02:00:00:00:00:01"))
			n.Host("b", w.MAC("02:00:00:00:00:01"))
		}),
	})
}

func TestMistakesInAddresses(t *testing.T) {
	t.Parallel()
	at := func(prefixes []string, addrs ...string) func(n *topo.Network) {
		return onLan(prefixes, func(lan *topo.Segment) topo.Attachment { return lan.At(addrs...) })
	}
	check(t, []mistake{
		one(`node b: segment lan: address "": write it like 10.0.1.9 or fd00:1::9`, at(dual, "")),
		one(`node b: segment lan: address "10.0.1.9/24": write it like 10.0.1.9 or fd00:1::9`, at(dual, "10.0.1.9/24")),
		one(`node b: segment lan: address "fe80::1%lan": write it like 10.0.1.9 or fd00:1::9`, at(dual, "fe80::1%lan")),
		one(`node b: segment lan: address "::ffff:10.0.1.9": write it like 10.0.1.9 or fd00:1::9`, at(dual, "::ffff:10.0.1.9")),
		one("node b: segment lan: address 10.0.2.9 is in none of the segment's prefixes: choose one that is, or use Also", at(dual, "10.0.2.9")),
		one("node b: segment lan: address 10.0.1.9: the segment has no IPv4 prefix: declare one", at([]string{"fd00::/64"}, "10.0.1.9")),
		one("node b: segment lan: address fd00::9: the segment has no IPv6 prefix: declare one", at([]string{"10.0.1.0/24"}, "fd00::9")),
		one("node b: segment lan: address 10.0.1.0 is the network or broadcast address of 10.0.1.0/24: choose another", at(dual, "10.0.1.0")),
		one("node b: segment lan: address 10.0.1.255 is the network or broadcast address of 10.0.1.0/24: choose another", at(dual, "10.0.1.255")),
		one("node b: segment lan: address 255.255.255.255 is the network or broadcast address of 255.255.255.254/31: choose another",
			func(n *topo.Network) { n.Host("b", n.Switch("lan", "255.255.255.254/31").At("255.255.255.255")) }),
		one("node b: segment lan: address fd00:1:: is the routers' anycast address of fd00:1::/64: choose another", at(dual, "fd00:1::")),
		one("node b: segment lan: address 10.0.1.9 is on the port twice: take one out", at(dual, "10.0.1.9", "10.0.1.9")),
		one("node b: segment lan: address 10.0.1.9 is on the port twice: take one out", onLan(dual, func(lan *topo.Segment) topo.Attachment {
			return lan.At("10.0.1.9").Also("10.0.1.9/32").Duplicate()
		})),
		one("node b: segment lan: address 10.0.1.9 is on the port twice: take one out", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/24")
			n.Host("a", lan.At("10.0.1.9")) // that it is there too hides nothing
			n.Host("b", lan.At("10.0.1.9").Also("10.0.1.9/32").Duplicate())
		}),
		one("node b: segment lan: address 10.0.1.9 is node a's already: choose another, or say that it is meant with Duplicate", func(n *topo.Network) {
			lan := n.Switch("lan", "10.0.1.0/24")
			n.Host("a", lan.At("10.0.1.9"))
			n.Host("b", lan.Also("10.0.1.9/32"))
		}),
	})
}

func TestMistakesInAddressesWithALength(t *testing.T) {
	t.Parallel()
	also := func(addrs ...string) func(n *topo.Network) {
		return onLan(dual, func(lan *topo.Segment) topo.Attachment { return lan.Also(addrs...) })
	}
	loopback := func(addrs ...string) func(n *topo.Network) {
		return func(n *topo.Network) { n.Host("a").Loopback(addrs...) }
	}
	check(t, []mistake{
		one(`node b: segment lan: address "192.0.2.5": write it with its prefix length, like 192.0.2.1/32`, also("192.0.2.5")),
		one(`node b: segment lan: address "::ffff:192.0.2.5/128": write it with its prefix length, like 192.0.2.1/32`, also("::ffff:192.0.2.5/128")),
		one("node b: segment lan: address 192.0.2.0 is the network or broadcast address of 192.0.2.0/24: choose another", also("192.0.2.0/24")),
		one("node b: segment lan: address 127.0.0.2 is one of the loopback: choose another", also("127.0.0.2/8")),
		one("node b: segment lan: address 0.0.0.0 is one of no network: choose another", also("0.0.0.0/32")),
		one("node b: segment lan: address ff02::1 is one of multicast groups: choose another", also("ff02::1/128")),
		one("node a: loopback: address 224.0.0.1 is one of multicast groups: choose another", loopback("224.0.0.1/32")),
		one("node a: loopback: address fe80::1 is of one link, and there is none: choose another", loopback("fe80::1/128")),
		one(`node a: loopback: address "192.0.2.1": write it with its prefix length, like 192.0.2.1/32`, loopback("192.0.2.1")),
		one("node a: loopback: address 192.0.2.1 is there twice: take one out", loopback("192.0.2.1/32", "192.0.2.1/24")),
	})
}

func TestMistakesInSysctls(t *testing.T) {
	t.Parallel()
	sysctl := func(key, value string) func(n *topo.Network) {
		return func(n *topo.Network) { n.Host("a", n.Switch("lan"), n.Switch("eth0.5")).Sysctl(key, value) }
	}
	check(t, []mistake{
		one(`node a: sysctl "kernel.hostname": only those of net. belong to a node: choose one`, sysctl("kernel.hostname", "x")),
		one(`node a: sysctl "": only those of net. belong to a node: choose one`, sysctl("", "x")),
		one(`node a: sysctl "network.x": only those of net. belong to a node: choose one`, sysctl("network.x", "x")),
		one(`node a: sysctl "net.ipv4/conf": only those of net. belong to a node: choose one`, sysctl("net.ipv4/conf", "x")),
		one(`node a: sysctl "net": write it like net.ipv4.ip_forward`, sysctl("net", "x")),
		one(`node a: sysctl "net..ip_forward": write it like net.ipv4.ip_forward`, sysctl("net..ip_forward", "x")),
		one(`node a: sysctl "net/../kernel/hostname": write it like net.ipv4.ip_forward`, sysctl("net/../kernel/hostname", "x")),
		one(`node a: sysctl "net.ipv4.ip_forward ": write it like net.ipv4.ip_forward`, sysctl("net.ipv4.ip_forward ", "1")),
		one("node a: sysctl net.ipv4.ip_forward: there is no value: give one", sysctl("net.ipv4.ip_forward", "")),
		one("node a: sysctl net.ipv4.conf.eth0.rp_filter: the node has no interface eth0: choose one of its own (lan, eth0.5); if the name has dots, write the key with slashes",
			sysctl("net.ipv4.conf.eth0.rp_filter", "1")),
		one("node a: sysctl net.ipv6.neigh.eth0.5.mcast_solicit: the node has no interface eth0: choose one of its own (lan, eth0.5); if the name has dots, write the key with slashes",
			sysctl("net.ipv6.neigh.eth0.5.mcast_solicit", "1")),
		one("node a: sysctl net.ipv4.conf.lan.rp_filter: the node has no interface lan: choose one of its own (no ports); if the name has dots, write the key with slashes",
			func(n *topo.Network) { n.Host("a").Sysctl("net.ipv4.conf.lan.rp_filter", "1") }),
	})
}
