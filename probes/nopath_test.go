package probes_test

import (
	"os"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
)

// Tenants with the same addresses that nothing joins are isolated from each other,
// although the asker's own server answers.
func TestTenantsThatNothingJoins(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(2))
	client, own, other := lab.Node("tenant-0/client"), lab.Node("tenant-0/server"), lab.Node("tenant-1/server")
	probes.Serve(t, own, web)
	g := gomega.NewWithT(t)
	for _, p := range []probes.Probe{icmp, web, dns} {
		g.Expect(client).To(probes.BeIsolatedFrom(other, p))
		g.Expect(client).To(probes.BeIsolatedFrom(other.On("tenant-1/lan"), p).Because(evidence.NoPath))
		g.Expect(other).To(probes.BeIsolatedFrom(client, p))
	}
	g.Expect(client).NotTo(probes.BeIsolatedFrom(own, web))
	for _, addr := range own.Addrs() {
		g.Expect(client).NotTo(probes.BeIsolatedFrom(addr, web), "an address is whoever's it is")
	}
	if holds, err := probes.MustMatter(probes.BeIsolatedFrom(other, icmp)).Match(client); holds || err == nil || !strings.Contains(err.Error(), "not checked: nothing joins the two") {
		t.Error(holds, err)
	}
	if holds, err := probes.BeUnansweredBy(other, web).Match(client); holds || err == nil || !strings.Contains(err.Error(), "the request did not arrive") {
		t.Error(holds, err)
	}
	matrix, err := probes.WatchSurvey(t.Context(), lab, icmp)
	if err != nil {
		t.Fatal(err)
	}
	g.Expect(matrix).To(probes.MatchMatrix(`
		                 tenant-0/client  tenant-0/server  tenant-1/client  tenant-1/server
		tenant-0/client  .                ok               nopath           nopath
		tenant-0/server  ok               .                nopath           nopath
		tenant-1/client  nopath           nopath           .                ok
		tenant-1/server  nopath           nopath           ok               .
	`))
}

// A link that no plan has is a path, whether anything goes over it or not.
func TestTenantsThatAreJoinedByHand(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, tenants(2))
	client, other := lab.Node("tenant-0/client"), lab.Node("tenant-1/server")
	gomega.NewWithT(t).Expect(client).To(probes.BeIsolatedFrom(other, icmp), "the control")
	file, err := os.Open(lab.Node("tenant-1/client").Path())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "secret"
	link := &netlink.Veth{LinkAttrs: attrs, PeerName: "secret", PeerNamespace: netlink.NsFd(file.Fd())}
	if err := lab.Node("tenant-0/server").Netlink().LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	if holds, err := probes.BeIsolatedFrom(other, icmp).Match(client); holds || err == nil || !strings.Contains(err.Error(), "was answered by tenant-0/server") {
		t.Error(holds, err)
	}
	matrix, err := probes.WatchSurvey(t.Context(), lab, icmp)
	if err != nil || matrix.Cell("tenant-0/client", "tenant-1/server") != "wrong@tenant-0/server" {
		t.Error(matrix, err)
	}
}
