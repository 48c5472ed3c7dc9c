package topo_test

import (
	"errors"
	"testing"

	"github.com/nstest/nstest/topo"
)

// accept plans what a fuzzer declared: it ends in mistakes that say something, or
// in a plan that keeps the invariants.
func accept(t *testing.T, network *topo.Network, doubles bool) {
	t.Helper()
	plan, err := network.Plan()
	if err == nil {
		invariants(t, plan, doubles)
		return
	}
	var mistakes *topo.Mistakes
	if !errors.As(err, &mistakes) || len(mistakes.List) == 0 || plan != nil {
		t.Fatalf("%#v, %v", err, plan)
	}
	for _, mistake := range mistakes.List {
		if mistake.Error() == "" {
			t.Error("a mistake says nothing")
		}
	}
}

func FuzzPrefix(f *testing.F) {
	for _, seed := range []string{
		"10.0.1.0/24", "fd00::/64", "10.0.1.5/24", "10.0.1.4/31", "fd00::2/127", "10.0.0.1/32", "0.0.0.0/0", "::/0",
		"255.255.255.252/30", "::ffff:10.0.0.0/104", "224.0.0.0/4", "fe80::/64", "240.0.0.0/4", "128.0.0.0/1", "10.0.1.0", "", "x/y",
	} {
		f.Add(seed, "10.0.0.0/16")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		network := topo.New("fuzz")
		wire, lan := network.Wire("wire", one), network.Switch("lan", one, two)
		network.Host("a", wire, lan)
		network.Router("r", wire, lan)
		network.Host("b", lan)
		accept(t, network, false)
	})
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"10.0.1.9", "fd00::9", "10.0.1.0", "10.0.1.255", "10.0.1.1", "fd00::", "fe80::1%lan", "::ffff:10.0.1.9", "10.0.2.9",
		"0.0.0.0", "255.255.255.255", "", "10.0.1.9/24", "fd00::9/128", "192.0.2.5/32", "127.0.0.1/8", "fe80::1/64", "224.0.0.1/4",
	} {
		f.Add(seed, seed, seed, false, false)
		f.Add(seed, seed+"/32", "192.0.2.1/32", true, true)
	}
	f.Fuzz(func(t *testing.T, at, also, loopback string, bare, duplicate bool) {
		network := topo.New("fuzz")
		lan, far := network.Switch("lan", "10.0.1.0/24", "fd00::/64"), network.Switch("far", "10.0.2.0/24", "fd01::/64")
		port := lan.At(at).Also(also)
		if bare {
			port = port.NoAddress()
		}
		if duplicate {
			port = port.Duplicate()
		}
		network.Host("a", lan.At("10.0.1.9", "fd00::9"))
		network.Host("b", port).Loopback(loopback)
		network.Router("r", far, lan).Loopback(loopback)
		accept(t, network, duplicate)
	})
}

func FuzzMAC(f *testing.F) {
	for _, seed := range []string{
		"02:00:00:00:00:01", "02-00-00-00-00-01", "0200.0000.0001", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff",
		"00:00:00:00:00:00", "02:00:00:00:00:00:00:01", "2:0:0:0:0:1", "", "nonsense",
	} {
		f.Add(seed, seed, false)
		f.Add(seed, "02:00:00:00:00:01", true)
	}
	f.Fuzz(func(t *testing.T, one, two string, duplicate bool) {
		network := topo.New("fuzz")
		lan, wire := network.Switch("lan"), network.Wire("wire")
		port := lan.MAC(two)
		if duplicate {
			port = port.Duplicate()
		}
		network.Host("a", lan.MAC(one), wire.MAC(two))
		network.Host("b", port, wire)
		network.Host("c", lan)
		accept(t, network, duplicate)
	})
}

func FuzzRoute(f *testing.F) {
	for _, to := range []string{"default", "", "10.7.0.0/16", "10.7.1.2/16", "fd07::/64", "10.0.1.0/24", "::/0", "0.0.0.0/0", "10.7.0.1", "x"} {
		for _, via := range []string{"", "10.0.1.1", "fd00::1", "10.0.2.1", "fe80::1", "10.0.1.255", "10.0.1.2", "0.0.0.0", "x"} {
			f.Add(to, via, "lan", 0, 0, 0)
			f.Add(to, via, "", 1, 254, 7)
		}
	}
	f.Add("10.7.0.0/16", "10.0.1.1", "far", 9, -1, 1<<31-1)
	f.Fuzz(func(t *testing.T, to, via, dev string, kind, table, metric int) {
		network := topo.New("fuzz")
		segments := map[string]*topo.Segment{
			"lan": network.Switch("lan", "10.0.1.0/24", "fd00::/64"), "dmz": network.Switch("dmz", "10.0.1.0/24"), "far": network.Switch("far"),
		}
		route := topo.Route{To: to, Via: via, Dev: segments[dev], Type: topo.RouteType(kind), Table: table, Metric: metric}
		network.Host("a", segments["lan"])
		network.Host("b", segments["lan"], segments["dmz"]).Route(route, topo.Route{To: "192.0.2.0/24", Dev: segments["lan"]}, route)
		network.Router("r", segments["lan"], network.Switch("up", "10.0.2.0/24")).Route(route)
		accept(t, network, false)
	})
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{
		"lan", "tenant-3/lan", "lo", "all", "default", "", ".", "..", "/", "a b", "bücher", "a:b", "%d", "a\x00", "\xff", "\u2028",
		"abcdefghijklmnopqrstuvwxyz", "lan-2", "-2", "a/b/c/",
	} {
		f.Add("net", seed, "lan", seed)
		f.Add(seed, seed, seed+"x", "x/"+seed)
	}
	f.Fuzz(func(t *testing.T, name, segment, other, node string) {
		network := topo.New(name)
		one, two := network.Switch(segment, "10.0.1.0/24"), network.Switch(other, "10.0.2.0/24")
		wire := network.Wire(segment + "/" + other)
		network.Host(node, one, two, wire, one, one)
		network.Host(other, two, wire, two)
		network.Router(segment, one, two)
		accept(t, network, false)
	})
}

func FuzzSysctl(f *testing.F) {
	for _, seed := range []string{
		"net.ipv4.ip_forward", "net/ipv4/conf/lan/rp_filter", "net.ipv4.conf.lan.rp_filter", "net.ipv6.conf.eth0.forwarding",
		"kernel.hostname", "net", "net.", "net..", "net/../kernel", "", "net.ipv4.conf", "net.ipv4.conf.lan",
	} {
		f.Add(seed, "1")
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		network := topo.New("fuzz")
		network.Host("a", network.Switch("lan")).Sysctl(key, value)
		network.Host("b").Sysctl(key, value)
		accept(t, network, false)
	})
}

func FuzzDevice(f *testing.F) {
	f.Add("br0", "d0", "10.0.1.9/24", "02:00:00:00:00:01", 1500, byte(0))
	f.Add("lan", "br0", "fd00::9/64", "", 0, byte(0xff))
	f.Add("", "x y", "", "ff:ff:ff:ff:ff:ff", -1, byte(7))
	f.Fuzz(func(t *testing.T, bridge, other, address, mac string, mtu int, bits byte) {
		network := topo.New("fuzz")
		lan, far := network.Switch("lan", "10.0.1.0/24", "fd00::/64"), network.Switch("far", "10.0.2.0/24")
		network.Host("a", lan)
		network.Host("b", far)
		r := network.Router("r", lan, far, lan.As(other))
		var ports []topo.Interface
		for i, port := range []topo.Interface{lan, far, lan.As(other), nil} {
			if bits>>i&1 != 0 {
				ports = append(ports, port)
			}
		}
		b := r.Bridge(bridge, ports...).Address(address).MTU(mtu)
		if bits&0x10 != 0 {
			b.MAC(mac)
		}
		r.Bridge(other+"2", b).Address(address)
		r.Dummy(mac).Address(address)
		r.Rule(topo.Rule{In: b, From: address, Table: mtu, Port: mac, Protocol: other})
		r.NAT(topo.Masquerade(b), topo.DNAT(far, other, address), topo.OneToOne(b, address, mac), topo.Redirect(lan, bridge, mtu))
		accept(t, network, bits&0x20 != 0)
	})
}
