package harness_test

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
)

func twins() *topo.Network {
	network := topo.New("twins")
	lan, wire := network.Switch("lan", "10.0.0.0/24", "fd00::/64"), network.Wire("wire", "10.1.0.0/24", "fd01::/64")
	network.Host("a", lan)
	network.Host("b", wire)
	network.Router("fw", lan, wire).Nft(`table inet filter { chain forward { type filter hook forward priority 0; policy accept; counter; }; }`).
		Sysctl("net.ipv4.conf.lan.rp_filter", "1")
	return network
}

// A twin is like its lab, with all that was done to that through the harness.
func TestTwin(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, twins())
	fw := lab.Node("fw")
	for name, do := range map[string]func() error{
		"rules":   func() error { return fw.Nft(`add rule inet filter forward tcp dport 22 drop comment "ssh"`) },
		"sysctls": func() error { return fw.SetSysctl("net.ipv4.conf.wire.forwarding", "0") },
		"down":    lab.Node("b").Port("wire").Down,
		"up":      lab.Node("a").Port("lan").Up,
	} {
		if err := do(); err != nil {
			t.Fatal(name, err)
		}
	}
	twin, err := lab.Twin()
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Down()
	if twin.Node("fw").Inode() == fw.Inode() {
		t.Error("the twin is the lab itself")
	}
	if value, err := twin.Node("fw").Sysctl("net.ipv4.conf.wire.forwarding"); err != nil || value != "0" {
		t.Error(value, err)
	}
	if link, err := twin.Node("b").Netlink().LinkByName("wire"); err != nil || link.Attrs().Flags&net.FlagUp != 0 {
		t.Errorf("%+v %v", link, err)
	}
	again, err := twin.Twin()
	if err != nil {
		t.Fatal("of the twin: ", err)
	}
	again.Down()
}

// otherMeans change a lab past the harness; each with what is said of it.
var otherMeans = map[string]struct {
	change func(t *testing.T, lab *harness.Lab)
	want   string
}{
	"a command": {func(t *testing.T, lab *harness.Lab) {
		path, err := exec.LookPath("nft")
		if err != nil {
			path = "/usr/sbin/nft"
		}
		if out, err := lab.Node("fw").Command(path, "flush", "ruleset").CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}, `node fw: changed by other means than the harness's: nftables: "table inet filter {" is gone`},
	"an address": {func(t *testing.T, lab *harness.Lab) {
		addr, _ := netlink.ParseAddr("10.0.0.77/24")
		link, err := lab.Node("a").Netlink().LinkByName("lan")
		if err == nil {
			err = lab.Node("a").Netlink().AddrAdd(link, addr)
		}
		if err != nil {
			t.Fatal(err)
		}
	}, `node a: changed by other means than the harness's: links: "lan inet 10.0.0.77/24`},
	"rules by netlink": {func(t *testing.T, lab *harness.Lab) {
		err := lab.Node("b").Nftables(func(conn *nftables.Conn) error {
			conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "mine"})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}, `node b: changed by other means than the harness's: nftables: "table ip mine {" is new`},
	"a sysctl": {func(t *testing.T, lab *harness.Lab) {
		if out, err := lab.Node("b").Command("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}, `node b: changed by other means than the harness's: sysctls: "net.ipv4.conf.all.forwarding = 1" is new`},
}

// What was changed by other means is told, and there is no twin.
func TestNoTwinOfWhatIsNotKnown(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	for name, c := range otherMeans {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, twins())
			c.change(t, lab)
			twin, err := lab.Twin()
			if err == nil {
				twin.Down()
				t.Fatal("there is one")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v\nwant %s", err, c.want)
			}
		})
	}
}
