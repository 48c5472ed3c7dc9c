package causes_test

import (
	"net/netip"

	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A rule for everybody drops what is sent to nobody as well, which says nothing.
var _ = Describe("an address that nobody has", func() {
	const closed = `table inet filter { chain forward { type filter hook forward priority 0; policy drop; }; }`
	rejected := `table inet filter { chain forward { type filter hook forward priority 0; reject with icmpx admin-prohibited; }; }`
	near := map[string]string{
		"10.0.2.77": "the nearest are 10.0.2.1 (server), 10.0.2.2 (fw), 10.0.1.1 (client)",
		"8.8.8.8":   "the nearest are ",
		"fd00:2::7": "the nearest are fd00:2::1 (server), fd00:2::2 (fw), fd00:1::1 (client)",
	}

	It("is a mistake of every check", func(ctx SpecContext) {
		o := ruled(atFw, closed)
		for text, nearest := range near {
			addr := netip.MustParseAddr(text)
			why := []string{`no node of lab "office" has ` + text + ", and nobody answers for it", nearest}
			for _, p := range all {
				noVerdict(probes.BeIsolatedFrom(addr, p).WithContext(ctx), o.client, why...)
				noVerdict(probes.BeIsolatedFrom(addr, p).At("fw").Because(evidence.Drop).WithContext(ctx), o.client, why...)
				noVerdict(probes.BeUnansweredBy(addr, p).WithContext(ctx), o.client, why...)
				noVerdict(probes.Reach(addr, p.Within(silence)).WithContext(ctx), o.client, why...)
			}
			noVerdict(probes.BeIsolatedFrom(addr).WithContext(ctx), o.client, why...)
		}
		isolated(ctx, o.client, o.server, "fw", evidence.Drop, "policy inet filter forward", all...)
	})

	It("is one where somebody says no", func(ctx SpecContext) {
		o := ruled(atFw, rejected)
		for text, nearest := range near {
			for _, p := range all {
				noVerdict(probes.BeRejectedBy("fw", netip.MustParseAddr(text), p).WithContext(ctx), o.client, "no node of lab", nearest)
			}
		}
		Expect(o.client).To(probes.BeRejectedBy("fw", server4, all...).WithContext(ctx))
	})

	It("is none when it was given to somebody since", func(ctx SpecContext) {
		o := ruled(atFw, closed)
		for text, prefix := range map[string]string{"10.0.2.77": "10.0.2.77/24", "fd00:2::7": "fd00:2::7/64"} {
			addr := netip.MustParseAddr(text)
			noVerdict(probes.BeIsolatedFrom(addr, web).WithContext(ctx), o.client, "no node of lab")
			give(o.server, "dmz", prefix)
			isolated(ctx, o.client, addr, "fw", evidence.Drop, "policy inet filter forward", all...)
		}
	})

	It("is none where a local route has it", func(ctx SpecContext) {
		o := ruled(atFw, closed)
		anywhere := netip.MustParseAddr("10.0.2.200")
		noVerdict(probes.BeIsolatedFrom(anywhere, web).WithContext(ctx), o.client, "no node of lab")
		Expect(o.server.Netlink().RouteAdd(&netlink.Route{
			Dst: prefix("10.0.2.192/26"), Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL,
			Scope: unix.RT_SCOPE_HOST, LinkIndex: 1,
		})).To(Succeed())
		isolated(ctx, o.client, anywhere, "fw", evidence.Drop, "policy inet filter forward", all...)
	})
})
