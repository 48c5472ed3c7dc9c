package harness

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Feature is something that a test needs of the machine and that may be missing.
type Feature struct {
	name  string
	of    string // tells apart what has one name
	check func() error
	aged  bool // a kernel's version: nobody can provide it
}

// String is the feature's name, as NSTEST_MISSING lists it.
func (f Feature) String() string { return f.name }

// What a kernel or a machine may lack.
var (
	// Root is real privilege over the machine, which Attach needs for what others started.
	Root = Feature{name: "root", check: func() error {
		if Rootless() || !privileged() {
			return errors.New("the tests run as an ordinary user")
		}
		return nil
	}}
	// Users are more of them than root, which daemons need that change theirs. An
	// ordinary user has them where newuidmap and /etc/subuid allow it.
	Users = Feature{name: "users", check: func() error {
		if mappedUsers() < 2 {
			return errors.New("the sandbox has no user but root: apt-get install uidmap, and give this user a range in /etc/subuid and /etc/subgid")
		}
		return nil
	}}
	// OwnProc is a /proc of a node's own, in which its commands see one another and
	// nobody else. A container that hides parts of /proc from an ordinary user lacks it.
	OwnProc = Feature{name: "own-proc", check: func() error { return checkOwnProc() }}
	// Overlay is overlayfs where a node's own directories can be laid over the machine's,
	// as Node.Layer does. An ordinary user has it from Linux 5.11 on.
	Overlay = Feature{name: "overlay", check: func() error { return checkOverlay() }}
	// IPv6 is missing on a kernel that was started without it.
	IPv6 = Feature{name: "ipv6", check: func() error {
		if noIPv6() {
			return errors.New("the kernel runs without IPv6")
		}
		return nil
	}}
	// UDPLite are sockets of UDP-Lite (RFC 3828). Newer kernels have none.
	UDPLite = Feature{name: "udplite", check: func() error {
		if err := inspect.HasDatagrams(unix.IPPROTO_UDPLITE); err != nil {
			return fmt.Errorf("the kernel has no UDP-Lite: %w", err)
		}
		return nil
	}}
	// NftTool is the nft program.
	NftTool = Feature{name: "nft", check: func() error { _, err := tool("nft", "nftables"); return err }}
	// IptablesTool is the iptables-restore program.
	IptablesTool = Feature{name: "iptables", check: func() error { _, err := tool("iptables-restore", "iptables"); return err }}
	// Netem is the qdisc that delays and loses packets.
	Netem = Feature{name: "netem", check: checkNetem}
	// TUN is /dev/net/tun, which programs open for an interface of theirs (tun, tap).
	TUN = Feature{name: "tun", check: func() error {
		file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("%w: modprobe tun, and let this user read and write it", err)
		}
		return file.Close()
	}}
	// OVS is Open vSwitch, of the machine or unpacked in the cache, which topo's OVS needs. It
	// has the name of Unpacked.
	OVS = Feature{name: "packages", of: "Open vSwitch", check: func() error { _, err := findOVS(); return err }}
	// VLANFiltering are bridges that keep VLANs apart, which a switch needs whose ports have
	// some (topo's Access and Trunk). It has the name of VLAN, and comes with that.
	VLANFiltering = Feature{name: "vlan", of: "filtering", check: checkFiltering}
	// VLAN, VRF, Bond, Dummy, WireGuard, IPVLAN, MACVLAN, VXLAN, Geneve, GRE, IP6GRE (GRE over IPv6),
	// IPIP and SIT are kinds of link.
	VLAN      = linkKind("vlan", func(a netlink.LinkAttrs) netlink.Link { return &netlink.Vlan{LinkAttrs: a, VlanId: 2} })
	VRF       = linkKind("vrf", func(a netlink.LinkAttrs) netlink.Link { return &netlink.Vrf{LinkAttrs: a, Table: 10} })
	Bond      = linkKind("bond", func(a netlink.LinkAttrs) netlink.Link { return netlink.NewLinkBond(a) })
	Dummy     = linkKind("dummy", func(a netlink.LinkAttrs) netlink.Link { return &netlink.Dummy{LinkAttrs: a} })
	WireGuard = linkKind("wireguard", func(a netlink.LinkAttrs) netlink.Link { return &netlink.Wireguard{LinkAttrs: a} })
	IPVLAN    = linkKind("ipvlan", func(a netlink.LinkAttrs) netlink.Link { return &netlink.IPVlan{LinkAttrs: a} })
	MACVLAN   = linkKind("macvlan", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Macvlan{LinkAttrs: a, Mode: netlink.MACVLAN_MODE_BRIDGE}
	})
	VXLAN  = linkKind("vxlan", func(a netlink.LinkAttrs) netlink.Link { return &netlink.Vxlan{LinkAttrs: a, VxlanId: 2, Port: 4789} })
	Geneve = linkKind("geneve", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Geneve{LinkAttrs: a, ID: 2, Remote: trialEnd}
	})
	GRE = linkKind("gre", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretun{LinkAttrs: a, Local: trialEnd, Remote: trialEnd}
	})
	IP6GRE = linkKind("ip6gre", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Gretun{LinkAttrs: a, Local: trialEnd6, Remote: trialEnd6}
	})
	IPIP = linkKind("ipip", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Iptun{LinkAttrs: a, Local: trialEnd, Remote: trialEnd}
	})
	SIT = linkKind("sit", func(a netlink.LinkAttrs) netlink.Link {
		return &netlink.Sittun{LinkAttrs: a, Local: trialEnd, Remote: trialEnd}
	})
)

// Kernel is a kernel of at least that version: Kernel(6, 8).
func Kernel(major, minor int) Feature {
	return Feature{name: fmt.Sprintf("kernel-%d.%d", major, minor), aged: true, check: func() error {
		if !kernelAtLeast(major, minor) {
			m, n := kernelVersion()
			return fmt.Errorf("the kernel is %d.%d", m, n)
		}
		return nil
	}}
}

// Tool is a program on this machine, sshd or the like. With iptables-legacy and
// ip6tables-legacy the kernel's tables are meant too, which it loads for root alone.
func Tool(name string) Feature {
	return Feature{name: name, check: func() error {
		if slices.Contains(legacyTools, name) {
			return checkLegacy(name)
		}
		_, err := tool(name, name)
		return err
	}}
}

const (
	strictVar  = "NSTEST_STRICT"
	missingVar = "NSTEST_MISSING"
)

// Require skips the test where a feature is missing, and says which and why. It
// is a test's first line. With NSTEST_STRICT=1 it fails the test instead, unless
// NSTEST_MISSING lists the feature (names with commas between): so nobody skips
// what they believe they test. A Kernel that is too old is always skipped for.
func Require(tb TB, features ...Feature) {
	tb.Helper()
	for _, f := range features {
		err := f.lacking()
		if err == nil {
			continue
		}
		if f.check == nil {
			tb.Fatalf("require: %v", err)
			return
		}
		listed := slices.Contains(strings.Split(os.Getenv(missingVar), ","), f.name)
		if os.Getenv(strictVar) == "1" && !listed && !f.aged {
			tb.Fatalf("require %s: %v; %s=1 allows no such skip: provide it, or list it in %s", f.name, err, strictVar, missingVar)
			return
		}
		tb.Skipf("require %s: %v", f.name, err)
		return
	}
}

var lacks sync.Map // a feature's name, and what it is of, to finding, found once

type finding struct{ err error }

func (f Feature) lacking() error {
	if f.check == nil {
		return errors.New("a zero Feature is none: it is one of this package's, or made by Kernel, Tool or Unpacked")
	}
	key := f.name + f.of
	if found, ok := lacks.Load(key); ok {
		return found.(finding).err
	}
	err := f.check()
	lacks.Store(key, finding{err})
	return err
}

// Of trials of tunnels.
var trialEnd, trialEnd6 = net.IPv4(192, 0, 2, 1), net.ParseIP("2001:db8::1")

// linkKind is a kind of link, tried out in a namespace that ends with the trial.
func linkKind(kind string, link func(netlink.LinkAttrs) netlink.Link) Feature {
	return Feature{name: kind, check: func() error {
		return inTrial(func(handle *netlink.Handle, parent int) error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "trial"
			switch kind {
			case "vlan", "ipvlan", "macvlan":
				attrs.ParentIndex = parent
			}
			return unsupported("link kind "+kind, handle.LinkAdd(link(attrs)))
		})
	}}
}

func checkNetem() error {
	return inTrial(func(handle *netlink.Handle, parent int) error {
		attrs := netlink.QdiscAttrs{LinkIndex: parent, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
		return unsupported("qdisc netem", handle.QdiscAdd(netlink.NewNetem(attrs, netlink.NetemQdiscAttrs{})))
	})
}

// inTrial runs f with a handle in a namespace of its own that holds a veth pair.
func inTrial(f func(handle *netlink.Handle, parent int) error) error {
	grounds, err := makeGrounds([]func() error{func() error { return nil }})
	if err != nil {
		return err
	}
	defer grounds[0].close()
	return once(grounds[0].enter, func() error {
		handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer handle.Close()
		pair := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "peer"}
		pair.Name = "parent"
		if err := handle.LinkAdd(pair); err != nil {
			return err
		}
		link, err := handle.LinkByName("parent")
		if err != nil {
			return err
		}
		return f(handle, link.Attrs().Index)
	})
}

// unsupported makes the errors by which a kernel says that it lacks something
// satisfy errors.ErrUnsupported.
func unsupported(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return missing{what + " is not in this kernel"}
	}
	return err
}
