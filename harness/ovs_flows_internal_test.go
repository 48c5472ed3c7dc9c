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
table_id=254, duration=0s, n_packets=9, n_bytes=0, priority=2,recirc_id=0,actions=drop
table_id=254, duration=0s, n_packets=1, n_bytes=0, priority=0,reg0=0x1,actions=controller(reason=)
table_id=254, duration=0s, n_packets=4, n_bytes=437, priority=0,reg0=0x2,actions=drop
`

func TestFlowsAreRead(t *testing.T) {
	t.Parallel()
	flows, err := parseFlows(dumped)
	want := []OVSFlow{
		{Priority: 10, Match: "tcp,in_port=1,tp_dst=22", Actions: "drop", Packets: 7}, {Priority: 32768, Match: "tcp,in_port=1", Actions: "resubmit(,1)"},
		{Actions: "NORMAL", Packets: 3}, {Table: 1, Priority: 7, Match: "tcp,tp_dst=80", Actions: "output:2"},
		{Missed: true, Packets: 5},
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

// cameBack is what ofproto/trace says of a flow that does more after another table's.
const cameBack = ` 0. udp,in_port=pc,tp_dst=57, priority 10
    resubmit(,9)
 9. priority 32768
    resubmit(,7)
     7. priority 3
            drop
    output:third
    resubmit(,11)
11. No match.
    drop

Final flow: unchanged
Datapath actions: third
`

func TestWhatAFlowDoesIsItsOwn(t *testing.T) {
	t.Parallel()
	trace, err := parseTrace(cameBack)
	if got, want := fmt.Sprint(trace.Flows[1:]), "[table=9,priority=32768,actions=resubmit(,7),output:third,resubmit(,11) table=7,priority=3,actions=drop no flow of table 11]"; err != nil || got != want {
		t.Errorf("%v: %s, not %s", err, got, want)
	}
	trace.numbered = trace.Flows
	led := OVSFlow{Table: 9, Priority: 32768, Packets: 6}
	if got, has := trace.Counted([]OVSFlow{led, {Table: 7, Priority: 3}}); !trace.Last().Missed || !has || got != 0 {
		t.Errorf("%s has counted %d: where no flow is for it, the last one does", trace.Last(), got)
	}
	missed := OVSTrace{numbered: []OVSFlow{{Missed: true}}}
	if got, has := missed.Counted([]OVSFlow{{}, {Missed: true, Packets: 5}}); !has || got != 5 {
		t.Errorf("%d, %v of what no flow is for", got, has)
	}
	end := strings.Index(cameBack, "    resubmit(,11)")
	if trace, err := parseTrace(cameBack[:end] + "\nDatapath actions: third\n"); err != nil || trace.Last().Table != 9 {
		t.Errorf("%v: the last to do something is table 9's: %v", err, trace.Last())
	}
	if trace, err := parseTrace(" 0. priority 1\n    CONTROLLER:65535\nDatapath actions: web,ct(commit,nat(src=10.0.0.1),zone=3),recirc(0x1f)\nDatapath actions: drop\n"); err != nil || trace.Unfollowed != "controller" || strings.Join(trace.Outputs, " ") != "web" {
		t.Errorf("%v: %+v", err, trace)
	}
}

// patched is what ofproto/trace says of a packet that goes by patch ports, and what of it comes back.
const patched = `Flow: icmp,in_port=pc

bridge("br-int")
----------------
 0. icmp, priority 10
    resubmit(,3)
 3. icmp, priority 10
    output:"br-int-br-ex"

    bridge("br-ex")
    ---------------
         0. icmp, priority 11
            resubmit(,7)
         7. No match.
            drop
    output:tv
    resubmit(,4)
 4. priority 0
    output:"br-int-br-tun"

bridge("br-tun")
----------------
 0. reg0=0x2, priority 0
    drop

Final flow: unchanged
Datapath actions: tv
`

func TestATraceTellsWhichSwitchAFlowIsOf(t *testing.T) {
	t.Parallel()
	trace, err := parseTrace(patched)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range trace.Flows {
		got = append(got, fmt.Sprint(f.Bridge, " ", f.Table))
	}
	if want := "[br-int 0 br-int 3 br-ex 0 br-ex 7 br-int 4 br-tun 0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, not %s", got, want)
	}
	if got := trace.Flows[1].Actions; got != `output:"br-int-br-ex",output:tv,resubmit(,4)` {
		t.Error(got)
	}
	trace.numbered = trace.Flows
	flows := []OVSFlow{{Bridge: "br-int", Missed: true, Packets: 1}, {Bridge: "br-tun", Missed: true, Packets: 2}, {Bridge: "br-int", Table: 4, Packets: 3}}
	if got, has := trace.Counted(flows); trace.Last().Bridge != "br-tun" || !has || got != 2 {
		t.Errorf("%+v has counted %d", trace.Last(), got)
	}
	trace.last = 3
	if got, has := trace.Counted(append(flows, OVSFlow{Bridge: "br-ex", Priority: 11, Match: "icmp", Packets: 4}, OVSFlow{Bridge: "br-int", Priority: 11, Match: "icmp"})); !has || got != 4 {
		t.Errorf("the one that led there has counted %d", got)
	}
}
