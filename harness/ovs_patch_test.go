package harness_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/topo"
)

// clouded are hosts on two Open vSwitches, and a third between them.
func clouded(attach func(*topo.Segment) topo.Attachment) *topo.Network {
	network := topo.New("patched")
	outside := network.OVS("br-ex")
	between := network.OVS("br-tun").Patch(outside)
	lan := network.OVS("br-int", "10.0.0.0/24", "fd00::/64").Patch(between)
	network.Host("pc", attach(lan))
	network.Host("web", outside)
	return network
}

func TestTheFirstPacketPassesPatchPorts(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	for name, attach := range map[string]func(*topo.Segment) topo.Attachment{
		"plain": func(s *topo.Segment) topo.Attachment { return s },
		"VLAN 1, in which ports are of which nobody says anything": func(s *topo.Segment) topo.Attachment { return s.Access(1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.Up(t, clouded(attach))
			for _, v6 := range []bool{false, true} {
				if got := hears(t, lab, v6, firstComes); got != "hello" {
					t.Errorf("IPv6 %v: web heard %q", v6, got)
				}
			}
			if got := fmt.Sprintf("%d %s", len(lab.OVS("br-tun").Patched()), lab.OVS("br-int").Patched()[0].Name()); got != "3 br-ex" {
				t.Error(got)
			}
			twin, err := lab.Twin()
			if err != nil {
				t.Fatal(err)
			}
			defer twin.Down()
			if got := hears(t, twin, false, firstComes); got != "hello" {
				t.Errorf("web of a twin heard %q", got)
			}
			if err := lab.Partition(harness.Group{lab.Node("pc")}, harness.Group{lab.Node("web")}); err == nil || !strings.Contains(err.Error(), "is an Open vSwitch") {
				t.Errorf("cut where patch ports join them: %v", err)
			}
		})
	}
}

func TestPatchPortsKeepVLANs(t *testing.T) {
	t.Parallel()
	harness.Require(t, harness.OVS)
	network := topo.New("patched")
	outside := network.OVS("br-ex")
	lan := network.OVS("br-int", "10.0.0.0/24", "fd00::/64").Patch(outside)
	network.Host("pc", lan.Access(100))
	network.Host("web", outside.Access(100))
	network.Host("tv", outside.Access(200))
	lab := harness.Up(t, network)
	if got := hears(t, lab, false, firstComes); got != "hello" {
		t.Errorf("web heard %q", got)
	}
	if err := lab.Node("web").Port("br-ex").SetVLANs(200); err != nil {
		t.Fatal(err)
	}
	if got := hears(t, lab, false, 200*time.Millisecond); got != "" {
		t.Errorf("web heard %q in another VLAN", got)
	}
}
