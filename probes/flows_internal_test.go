package probes

import (
	"fmt"
	"slices"
	"testing"

	"github.com/nstest/nstest/harness"
)

func aFlow(match, actions string) switchFlow {
	return switchFlow{harness.OVSFlow{Match: match, Actions: actions}, "lan"}
}

func TestPortsThatFlowsName(t *testing.T) {
	t.Parallel()
	for match, want := range map[string]string{
		"tcp,in_port=1,tp_dst=22":        "[tcp/22 tcp/21 tcp/23 tcp]",
		"udp6,tp_dst=0x50/0xfff0":        "[udp/80 udp/95 udp/79 udp/96 udp]",
		"udp,tp_src=53":                  "[udp from 53 udp from 52 udp from 54 udp]",
		"ip,nw_proto=47":                 "[gre]",
		"ip,in_port=1":                   "[]",
		"arp":                            "[]",
		"icmp,icmp_type=8":               "[]",
		"tcp,tp_dst=0/0x0000,in_port=3":  "[tcp/65535 tcp]",
		"tcp6,tp_dst=1x,nw_src=10.0.0.1": "[tcp]",
	} {
		var got []string
		for _, p := range aFlow(match, "drop").named() {
			got = append(got, p.String())
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s names %v, not %s", match, got, want)
		}
	}
	if p := aFlow("udp6,tp_dst=53", "").named()[0]; p.Family != 6 || p.Beside || p.Rule.String() != `flow "priority=0,udp6,tp_dst=53,actions=" of switch lan` {
		t.Errorf("%+v", p)
	}
}

func TestFlowsThatMakePorts(t *testing.T) {
	t.Parallel()
	for actions, want := range map[string]bool{
		"mod_tp_dst:53,NORMAL": true, "mod_tp_dst:54,NORMAL": false, "set_field:53->udp_dst,output:2": true, "load:0x35->NXM_OF_UDP_DST[]": true, "load:0x36->NXM_OF_UDP_DST[]": false,
		"move:NXM_OF_UDP_SRC[]->NXM_OF_UDP_DST[],NORMAL": true, "ct(commit,nat(dst=10.0.1.2:53),table=1)": true, "mod_tp_src:53,NORMAL": false, "NORMAL": false, "drop": false,
	} {
		if got := aFlow("udp,tp_dst=99", actions).makes(53); got != want {
			t.Errorf("%s: %v", actions, got)
		}
	}
	flows := []switchFlow{aFlow("udp,tp_dst=99", "mod_tp_dst:53,NORMAL"), aFlow("udp,tp_dst=7", "drop")}
	if got := otherPortsByFlows(flows, UDP(53)); !slices.Equal(got, []uint16{99, 98, 100}) {
		t.Error(got)
	}
	if got := otherPortsByFlows(flows, TCP(53)); got != nil {
		t.Error(got)
	}
	flows[0].Match = "udp,in_port=1"
	if got := otherPortsByFlows(flows, UDP(53)); !slices.Equal(got, []uint16{7, 6, 8}) {
		t.Error(got)
	}
	addressed := []switchFlow{aFlow("udp,nw_dst=10.0.1.9", "mod_nw_dst:10.0.1.2,NORMAL"), aFlow("udp,nw_dst=10.0.1.8", "NORMAL"), aFlow("udp6,ipv6_dst=fd00::8/125", "ct(nat(dst=fd00::1))")}
	if got := fmt.Sprint(addrsByFlows(addressed)); got != "[10.0.1.9 fd00::9]" {
		t.Error(got)
	}
}
