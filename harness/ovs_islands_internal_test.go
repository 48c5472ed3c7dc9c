package harness

import "testing"

func TestActionsThatStayInAVLAN(t *testing.T) {
	t.Parallel()
	for actions, stays := range map[string]bool{
		"drop": true, "NORMAL": true, "resubmit(,7)": true, "resubmit(web,7)": false, "resubmit:2": false, "goto_table:7": true,
		"ct(table=72,zone=NXM_NX_REG6[0..15])": true, "ct(commit,zone=1,exec(load:0x1->NXM_NX_CT_MARK[])),NORMAL": true, "ct(commit,nat(src=10.0.0.1)),NORMAL": true,
		"load:0x5->NXM_NX_REG5[],load:0x1->NXM_NX_REG6[],resubmit(,71)": true, "load:0x5->NXM_OF_IN_PORT[]": false, "load:0x5->NXM_OF_VLAN_TCI[]": false,
		"mod_dl_dst:02:00:00:00:00:01,dec_ttl,NORMAL": true, "mod_vlan_vid:7,NORMAL": false, "strip_vlan,NORMAL": false, "output:2": false, "2": false, "FLOOD": false, "ALL": false,
		"NORMAL,output:2": false, "IN_PORT": false, "LOCAL": false, "CONTROLLER:65535": false, "group:1": false, "learn(table=7,output:NXM_OF_IN_PORT[]),NORMAL": false,
		"enqueue:2:1": false, "clone(output:2)": false, "": false, "set_field:0x1->reg5,NORMAL": true, "set_field:4097->vlan_vid,NORMAL": false,
	} {
		if staysInVLAN(actions) != stays {
			t.Errorf("%q: %v", actions, !stays)
		}
	}
}
