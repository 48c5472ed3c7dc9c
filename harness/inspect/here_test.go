package inspect_test

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

func TestHereIsTheThreadsNamespace(t *testing.T) {
	t.Parallel()
	network := topo.New("here")
	network.Host("alice", network.Switch("lan", "10.0.1.0/24"))
	alice := harness.Up(t, network).Node("alice")
	err := alice.Do(func() error {
		return inspect.Here(func(ns inspect.Namespace) error {
			links, err := ns.Links()
			if err != nil {
				return err
			}
			if len(links) != 2 {
				t.Errorf("%d links, not lo and lan", len(links))
			}
			for to, want := range map[string]inspect.Lookup{
				"10.0.1.1":  {Type: unix.RTN_LOCAL},
				"10.0.1.9":  {Type: unix.RTN_UNICAST},
				"192.0.2.1": {Errno: unix.ENETUNREACH},
			} {
				got, err := ns.Lookup(inspect.Question{To: netip.MustParseAddr(to)})
				if err != nil {
					return err
				}
				if got.Errno != want.Errno || want.Errno == 0 && got.Type != want.Type {
					t.Errorf("%s: %+v, want %+v", to, got, want)
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
}
