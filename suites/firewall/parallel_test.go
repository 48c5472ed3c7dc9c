package firewall_test

import (
	"fmt"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	. "github.com/onsi/gomega"
)

// Labs whose firewalls have different rules, up at the same time in one process.
func TestRulesInParallel(t *testing.T) {
	harness.Require(t, harness.NftTool)
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			verdict, want := "accept", probes.Answered
			if i%2 == 1 {
				verdict, want = "reject with icmpx admin-prohibited", probes.Rejected
			}
			o := newOffice(t, `table inet filter { chain forward {
				type filter hook forward priority 0; policy accept; tcp dport 22 `+verdict+`; }; }`)
			probes.Serve(t, o.inet, ssh, web)
			for p, want := range map[probes.Probe]probes.Outcome{ssh: want, web: probes.Answered} {
				result, err := probes.Ask(t.Context(), o.desk, o.inet, p)
				if err != nil || len(result.Each) != 2 {
					t.Fatalf("%v, %v", result, err)
				}
				for _, r := range result.Each {
					if r.Outcome != want {
						t.Errorf("%v: want %s", r, want)
					}
				}
			}
			if i%2 == 1 {
				NewWithT(t).Expect(o.desk).To(probes.BeRejectedBy("fw", o.inet, ssh).By("tcp dport 22 " + verdict).WithContext(t.Context()))
			}
		})
	}
}
