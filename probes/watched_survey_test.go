package probes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/topo"
	"github.com/onsi/gomega"
)

func TestWatchSurveyNamesTheCauses(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	lab := harness.Up(t, office(guarded))
	matrix, err := probes.WatchSurvey(t.Context(), lab, icmp)
	if err != nil {
		t.Fatal(err)
	}
	text := `        client   server   fw
client  .        drop@fw  ok
server  drop@fw  .        ok
fw      ok       ok       .
# drop@fw: the request was dropped at fw by rule "icmp type echo-request drop" of inet filter forward ("no ping")
# drop@fw: the request was dropped at fw by rule "icmpv6 type echo-request drop" of inet filter forward ("no ping")
`
	if matrix.String() != text {
		t.Errorf("%s\nwant\n%s", matrix, text)
	}
	gomega.NewWithT(t).Expect(matrix).To(probes.MatchMatrix(text))
	matrix, err = probes.WatchSurvey(t.Context(), lab, probes.TCP(23))
	if cell := matrix.Cell("client", "server"); err != nil || cell != "refused" || strings.Contains(matrix.String(), "#") {
		t.Errorf("%s, %v", matrix, err)
	}
}

// halves are hosts around a router that keeps those of one half from the other's.
func halves(n int, more ...string) *topo.Network {
	network := topo.New("halves")
	var segments []topo.Attachment
	for i := range n {
		segment := network.Wire(fmt.Sprintf("w%d", i), fmt.Sprintf("10.%d.%d.0/24", 2*i/n, i))
		segments = append(segments, segment)
		network.Host(fmt.Sprintf("h%d", i), segment)
	}
	network.Router("fw", segments...).Nft(strings.Join(more, "") + `table ip filter {
		chain forward {
			type filter hook forward priority 0; policy accept;
			ip saddr 10.0.0.0/16 ip daddr 10.1.0.0/16 drop comment "halves"
			ip saddr 10.1.0.0/16 ip daddr 10.0.0.0/16 drop comment "halves"
		}
	}`)
	return network
}

func TestWatchSurveyOfManyHasACauseForEach(t *testing.T) {
	harness.Require(t, harness.NftTool)
	t.Parallel()
	const hosts = 30 // so many that a trace overflows when all begin at once
	lab := harness.Up(t, halves(hosts))
	for _, p := range []probes.Probe{icmp, web, dns} {
		matrix, err := probes.WatchSurvey(t.Context(), lab, p)
		if err != nil {
			t.Fatal(err)
		}
		open := map[probes.Probe]string{icmp: "ok", web: "refused", dns: "refused"}[p]
		for i := range hosts {
			for j := range hosts {
				want := open
				switch {
				case i == j:
					want = "."
				case 2*i/hosts != 2*j/hosts:
					want = "drop@fw"
				}
				if cell := matrix.Cell(fmt.Sprintf("h%d", i), fmt.Sprintf("h%d", j)); cell != want {
					t.Errorf("%s: h%d -> h%d: %s, want %s: %v", p, i, j, cell, want, matrix.Results(fmt.Sprintf("h%d", i), fmt.Sprintf("h%d", j)))
				}
			}
		}
	}
}
