package harness

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const dumped = `duration=1s, n_packets=7, n_bytes=0, priority=10,tcp,in_port=1,tp_dst=22,actions=drop
duration=0s, n_packets=0, n_bytes=0, tcp,in_port=1,actions=resubmit(,1)
duration=0s, n_packets=3, n_bytes=250, priority=0,actions=NORMAL
table_id=1, duration=0s, n_packets=0, n_bytes=0, priority=7,tcp,tp_dst=80,actions=output:2
table_id=254, duration=0s, n_packets=0, n_bytes=0, priority=2,recirc_id=0,actions=drop
`

func TestFlowsAreRead(t *testing.T) {
	t.Parallel()
	flows, err := parseFlows(dumped)
	want := []OVSFlow{
		{Priority: 10, Match: "tcp,in_port=1,tp_dst=22", Actions: "drop", Packets: 7}, {Priority: 32768, Match: "tcp,in_port=1", Actions: "resubmit(,1)"},
		{Actions: "NORMAL", Packets: 3}, {Table: 1, Priority: 7, Match: "tcp,tp_dst=80", Actions: "output:2"},
	}
	if err != nil || !reflect.DeepEqual(flows, want) {
		t.Errorf("%v\n%+v", err, flows)
	}
	if got := flows[3].String(); got != "table=1,priority=7,tcp,tp_dst=80,actions=output:2" {
		t.Error(got)
	}
	if _, err := parseFlows("nonsense\n"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
}

const traced = `Flow: tcp,in_port=pc,nw_src=10.0.1.1

bridge("br-int")
----------------
 0. tcp,in_port=pc, priority 32768
    resubmit(,1)
 1. tcp,tp_dst=81, priority 6, cookie 0x2a
    ct(table=2)
     -> A clone of the packet is forked to recirculate.

Final flow: unchanged
Megaflow: recirc_id=0,eth,tcp,in_port=pc,nw_frag=no,tp_src=0x800/0xf800,tp_dst=81
Datapath actions: ct,recirc(0x1)

===============================================================================
recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x1,ct_state=new|trk,eth,tcp

bridge("br-int")
----------------
    thaw
        Resuming from table 2
 2. ct_state=+new+trk,tcp, priority 6
    drop

Final flow: unchanged
Megaflow: recirc_id=0x1,ct_state=+new+trk,eth,tcp,in_port=pc
Datapath actions: drop
`

func TestTracesAreRead(t *testing.T) {
	t.Parallel()
	trace, err := parseTrace(traced)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(trace.Flows); got != "[priority=32768,tcp,in_port=pc,actions=resubmit(,1) cookie=0x2a,table=1,priority=6,tcp,tp_dst=81,actions=ct(table=2) table=2,priority=6,ct_state=+new+trk,tcp,actions=drop]" {
		t.Error(got)
	}
	if trace.Outputs != nil || trace.Unfollowed != "" || !strings.Contains(fmt.Sprint(trace.Fields), "tp_src") || trace.Last().Table != 2 {
		t.Errorf("%+v", trace)
	}
	for text, want := range map[string]string{
		" 0. priority 0\n    NORMAL\n     -> forwarding to learned port\nDatapath actions: push_vlan(vid=100,pcp=0),web\n": "[push_vlan(vid=100 pcp=0) web] ",
		" 0. priority 0\n    group:1\n     -> no live bucket\nDatapath actions: drop\n":                                    "[] group",
		" 7. No match.\n    drop\nDatapath actions: drop\n":                                                                "[] ",
	} {
		trace, err := parseTrace(text)
		if got := fmt.Sprintf("%v %s", trace.Outputs, trace.Unfollowed); err != nil || got != want {
			t.Errorf("%v: %q, not %q", err, got, want)
		}
	}
	if trace, _ := parseTrace(" 7. No match.\n    drop\nDatapath actions: drop\n"); trace.Last().String() != "no flow of table 7" {
		t.Error(trace)
	}
	if _, err := parseTrace("nonsense"); err == nil {
		t.Error("nonsense was read")
	}
}
