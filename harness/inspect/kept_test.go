package inspect_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/onsi/gomega"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// keptNode is a node that is read by what is kept of it, and a look that says so: nothing of it may
// take a thread there.
func keptNode(t *testing.T) (*harness.Node, inspect.Namespace) {
	t.Helper()
	node, kept := harness.Up(t, office(plain)).Node("fw"), new(inspect.Kept)
	t.Cleanup(kept.Close)
	ns := kept.Of(node.Netlink(), node.Do)
	if _, err := ns.PolicyRules(); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.LegacyPrograms(); err != nil {
		t.Fatal(err)
	}
	return node, kept.Of(node.Netlink(), func(func() error) error { return errors.New("a thread was wanted") })
}

// What is asked by sockets that are kept is as it is at that moment.
func TestKeptSeesChanges(t *testing.T) {
	t.Parallel()
	node, ns := keptNode(t)
	lookup := func() string {
		t.Helper()
		way, err := ns.Lookup(inspect.Question{To: netip.MustParseAddr("10.0.50.1")})
		if err != nil {
			t.Fatal(err)
		}
		return way.Errno.Error()
	}
	rules := func() (texts []string) {
		t.Helper()
		all, err := ns.PolicyRules()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all {
			texts = append(texts, r.String())
		}
		return texts
	}
	if got := lookup(); got != unix.ENETUNREACH.Error() {
		t.Errorf("without a route: %s", got)
	}
	const rule = "1000: from all to 10.0.50.1 prohibit"
	if got := rules(); slices.Contains(got, rule) {
		t.Errorf("without the rule: %q", got)
	}
	_, to, _ := net.ParseCIDR("10.0.50.1/32")
	must(t, node.Netlink().RouteAdd(&vishvananda.Route{Dst: to, Type: unix.RTN_UNREACHABLE}))
	if got := lookup(); got != unix.EHOSTUNREACH.Error() {
		t.Errorf("with an unreachable route: %s", got)
	}
	r := vishvananda.NewRule()
	r.Dst, r.Priority, r.Type = to, 1000, unix.FR_ACT_PROHIBIT
	must(t, node.Netlink().RuleAdd(r))
	if got := rules(); !slices.Contains(got, rule) {
		t.Errorf("with the rule: %q", got)
	}
	if got := lookup(); got != unix.EACCES.Error() {
		t.Errorf("with the rule: %s", got)
	}
}

// A table of iptables-legacy that comes later is seen.
func TestKeptSeesTablesOfIptablesLegacy(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"iptables-legacy", "ip6tables-legacy"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			harness.Require(t, harness.Tool(program))
			node, ns := keptNode(t)
			if got, err := ns.LegacyPrograms(); err != nil || len(got) > 0 {
				t.Fatal(got, err)
			}
			if out, err := node.Command(program, strings.Fields("-A FORWARD -j DROP")...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var here []string
			must(t, node.Do(func() error {
				here = inspect.LegacyPrograms()
				return nil
			}))
			got, err := ns.LegacyPrograms()
			if err != nil || !slices.Equal(got, here) {
				t.Errorf("%q, %v; on a thread there: %q", got, err, here)
			}
		})
	}
}

// What is kept is of its own node, whatever namespace the thread is in that opens it or asks by it,
// and however many ask at once.
func TestKeptIsOfItsOwnNode(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(plain))
	kept, other := new(inspect.Kept), lab.Node("client")
	t.Cleanup(kept.Close)
	ns := kept.Of(lab.Node("fw").Netlink(), lab.Node("fw").Do)
	want := map[string]bool{"lo": true, "lan": true, "dmz": true} // client has no dmz
	var asking sync.WaitGroup
	for i := range 64 {
		asking.Go(func() {
			err := other.Do(func() error {
				to := netip.AddrFrom4([4]byte{10, 0, 2, byte(100 + i)})
				way, err := ns.Lookup(inspect.Question{To: to})
				if err != nil || way.Errno != 0 {
					return fmt.Errorf("look up %s: %v, %w", to, way.Errno, err)
				}
				links, err := kept.Links.Read(ns)
				for _, l := range links {
					if !want[l.Name] || l.Index == way.Out && l.Name != "dmz" {
						return fmt.Errorf("%s, link %d, is fw's, or the way to %s", l.Name, l.Index, to)
					}
				}
				if err != nil || len(links) != len(want) {
					return fmt.Errorf("%d links: %w", len(links), err)
				}
				if programs, err := ns.LegacyPrograms(); err != nil || len(programs) > 0 {
					return fmt.Errorf("tables of %q: %w", programs, err)
				}
				rules, err := ns.PolicyRules()
				if err != nil || len(rules) < 4 { // local, main and default of IPv4, and two of IPv6
					return fmt.Errorf("%d rules: %w", len(rules), err)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
}

// What is asked when it is over is an error, and no answer of anybody else's.
func TestKeptIsOver(t *testing.T) {
	t.Parallel()
	node, kept := harness.Up(t, office(plain)).Node("fw"), new(inspect.Kept)
	ns := kept.Of(node.Netlink(), node.Do)
	ask := func() error {
		_, first := ns.PolicyRules()
		_, second := ns.Lookup(inspect.Question{To: server4})
		_, third := ns.LegacyPrograms()
		_, fourth := kept.Links.Read(ns)
		for _, err := range []error{first, second, third, fourth} {
			if err == nil {
				return nil
			}
		}
		return errors.Join(first, second, third, fourth)
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for over := false; !over; {
				over = ask() != nil
			}
		})
	}
	kept.Close()
	asking.Wait()
	kept.Close()
	if err := ask(); err == nil {
		t.Error("answers of a namespace that nobody keeps")
	}
}

// eventually is when what ends by itself has ended on a busy machine.
const eventually = 20 * time.Second

// Who reads what rules log is a blind spot when it comes, and none when it is gone.
func TestBlindSpotsSeeReadersThatCome(t *testing.T) {
	t.Parallel()
	node := harness.Up(t, office(plain)).Node("fw")
	var blind *inspect.BlindSpots
	must(t, node.Do(func() (err error) {
		blind, err = inspect.OpenBlindSpots()
		return err
	}))
	t.Cleanup(blind.Close)
	look := func() string {
		t.Helper()
		spots, err := blind.Sockets(func(uint64) bool { return true }, false)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(spots, ", ")
	}
	for range 2 {
		// A child of this process has the last one's socket open until it executes something.
		gomega.NewWithT(t).Eventually(look).WithTimeout(eventually).Should(gomega.BeEmpty(), "nobody reads")
		reader := readsGroup(t, node, 7)
		if got, want := look(), "a program reads what rules log to group 7"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		must(t, reader.Close())
	}
}

// readsGroup is a socket that reads what a node's rules log to a group (linux/netfilter/nfnetlink_log.h).
func readsGroup(t *testing.T, node *harness.Node, group byte) *netlink.Conn {
	t.Helper()
	var reader *netlink.Conn
	err := node.Do(func() (err error) {
		if reader, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
			return err
		}
		const config, bind = unix.NFNL_SUBSYS_ULOG<<8 | 1, 1 // NFULNL_MSG_CONFIG, NFULNL_CFG_CMD_BIND
		_, err = reader.Execute(netlink.Message{
			Header: netlink.Header{Type: config, Flags: netlink.Request | netlink.Acknowledge},
			Data:   []byte{unix.AF_UNSPEC, 0, 0, group, 5, 0, 1, 0, bind, 0, 0, 0}, // struct nfgenmsg; NFULA_CFG_CMD
		})
		return err
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPROTONOSUPPORT) {
		t.Skip("this kernel sends no log to a socket")
	}
	must(t, err)
	return reader
}
