package verdict

import (
	"net/netip"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/internal/wire"
)

// A socket that listens elsewhere is no listener, and it is said where it does.
func TestExplainWhoListensElsewhere(t *testing.T) {
	t.Parallel()
	listens := func(all ...inspect.Listener) func(*scene) {
		return func(s *scene) {
			for i := range all {
				all[i].Port = 53
			}
			s.arrived("server")
			s.States["server"].Listeners, s.States["server"].UDP, s.States["server"].UDPLite = all, all, all
		}
	}
	local, any4, any6 := netip.MustParseAddr("127.0.0.1"), netip.IPv4Unspecified(), netip.IPv6Unspecified()
	refused := func(why string) example {
		return example{kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server/dmz: " + why}
	}
	silent := example{kind: evidence.Unknown, word: "unknown@server", text: "inconclusive: the request was last seen at server/dmz: nothing there accounts for the silence"}
	for name, c := range map[string]struct {
		happen func(*scene)
		v6     bool
		want   example
	}{
		"at the loopback":               {listens(inspect.Listener{Addr: local}), false, refused("port 53 listens at 127.0.0.1 only")},
		"at another address":            {listens(inspect.Listener{Addr: fwDmz4}), false, refused("port 53 listens at 10.0.2.2 only")},
		"at the loopback and elsewhere": {listens(inspect.Listener{Addr: local}, inspect.Listener{Addr: any6, Device: 1}, inspect.Listener{Addr: local}), false, refused("port 53 listens at 127.0.0.1 and at interface lo only")},
		"at the loopback and there":     {listens(inspect.Listener{Addr: local}, inspect.Listener{Addr: server4}), false, silent},
		"at another interface":          {listens(inspect.Listener{Addr: any6, Device: 1}), false, refused("port 53 listens at interface lo only")},
		"at that interface":             {listens(inspect.Listener{Addr: any6, Device: 2}), false, silent},
		"for IPv6":                      {listens(inspect.Listener{Addr: any6, V6Only: true}), false, refused("port 53 listens for IPv6 only")},
		"for IPv4":                      {listens(inspect.Listener{Addr: any4}), true, refused("port 53 listens for IPv4 only")},
		"for IPv6, which it is":         {listens(inspect.Listener{Addr: any6, V6Only: true}), true, silent},
		"everywhere":                    {listens(inspect.Listener{Addr: any6}), false, silent},
		"at its own address, as 4in6":   {listens(inspect.Listener{Addr: netip.AddrFrom16(server4.As16())}), false, silent},
	} {
		for _, protocol := range []wire.Protocol{wire.TCP, wire.UDP, wire.UDPLite} {
			want := c.want
			want.protocol, want.happen, want.v6 = protocol, c.happen, c.v6
			explained(t, map[string]example{name: want})
		}
	}
	explained(t, map[string]example{
		"redirected to a port that nobody has": {happen: func(s *scene) {
			s.arrived("server")
			at := s.see(evidence.Request, "server")
			at.Index, at.DestinationPort = 2, 81
		}, kind: evidence.NoListener, word: "nolistener@server", text: "the request was refused at server: nobody has port 81, to which port 53 was translated"},
	})
}
