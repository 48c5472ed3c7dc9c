package policy_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/policy"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// manyRules is a ruleset of so many that overlap, the first of which counts all, and the last what comes to the policy.
func manyRules(g generator, count int) string {
	var b strings.Builder
	b.WriteString("table inet filter {\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy drop;\n\t\tcounter\n")
	side := func(way string) string {
		if g.IntN(2) == 0 {
			return ""
		}
		return fmt.Sprintf("ip %s 10.0.%d.%d/%d ", way, 1+g.IntN(2), g.IntN(8)*32, 26+g.IntN(6))
	}
	for range count {
		port := 1 + g.IntN(100)*10
		ports := g.one(fmt.Sprint(port), fmt.Sprint(port), fmt.Sprintf("%d-%d", port, port+g.IntN(300)))
		fmt.Fprintf(&b, "\t\t%s%s%s%s dport %s counter %s\n", g.one("", "", `iifname "lan" `, `oifname "dmz" `), side("saddr"), side("daddr"),
			g.one("tcp", "udp"), ports, g.one("accept", "accept", "drop"))
	}
	b.WriteString("\t\tcounter\n\t}\n}\n")
	return b.String()
}

// randomHeaders are packets from anybody on a segment to anybody on the other one, or on the same.
func randomHeaders(g generator, from, count int) (all [][]byte) {
	for range count {
		host := func() string { return fmt.Sprint(20 + g.IntN(230)) }
		upper := make([]byte, 20)
		binary.BigEndian.PutUint16(upper, uint16(40000+g.IntN(20000)))
		binary.BigEndian.PutUint16(upper[2:], uint16(g.IntN(1400)))
		upper[12], upper[13] = 5<<4, 2
		src, dst := spaceAddr(false, from, host()), spaceAddr(false, 1+g.IntN(2), host())
		if g.IntN(2) == 0 {
			all = append(all, header(src, dst, unix.IPPROTO_TCP, upper))
		} else {
			all = append(all, header(src, dst, unix.IPPROTO_UDP, append(slices.Clone(upper[:4]), 0, 8, 0, 0)))
		}
	}
	return all
}

// Of random packets, each rule of hundreds decides as many as are in its classes; and it does not take long to say.
func TestOfManyRules(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.NftTool)
	const rules, packets = 150, 4000
	g := generator{rand.New(rand.NewPCG(5, 18))}
	lab := harness.Up(t, sides(manyRules(g, rules)))
	fw := lab.Node("fw")
	begin := time.Now()
	p, err := policy.Of(t.Context(), lab, "fw")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d rules: %d packets in %v, %d lines", rules, p.Packets, time.Since(begin), strings.Count(p.String(), "\n"))
	if text := p.String(); len(p.Notes) > 0 || strings.Contains(text, "not known") || strings.Contains(text, "not tried") {
		t.Errorf("it is\n%s", text)
	}
	decided := map[string]uint64{}
	askNobody(t, fw)
	for i, in := range []string{"lan", "dmz"} {
		all := randomHeaders(g, i+1, packets)
		for _, h := range all {
			_, class := p.Find(packetIn(in, h))
			if class == nil || len(class.By) != 1 {
				t.Fatalf("no class has %+v, or it has no rule: %v", packetIn(in, h), class)
			}
			decided[class.By[0]]++
		}
		sendAll(t, lab.Node([]string{"client", "server"}[i]), in, fw, false, all)
	}
	var counts map[string]uint64
	NewWithT(t).Eventually(func() uint64 {
		counts = counted(t, fw)
		return counts["forward 1"]
	}).WithContext(t.Context()).Within(soon).Should(BeNumerically("==", 2*packets), "packets that came")
	met := 0
	for position := 2; position <= rules+1; position++ {
		count, says := counts[fmt.Sprintf("forward %d", position)], uint64(0)
		for by, n := range decided {
			if strings.HasPrefix(by, fmt.Sprintf("rule %d of inet filter forward (", position)) {
				says = n
			}
		}
		if count > 0 {
			met++
		}
		if says != count {
			t.Errorf("rule %d is said to decide %d packets, and counted %d", position, says, count)
		}
	}
	if met < rules/5 {
		t.Errorf("but %d rules met a packet: nothing is judged", met)
	}
}
