package watch

import (
	"errors"
	"slices"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/verdict"
)

// joinVLAN has a port carry another VLAN: as that of frames without a tag, or with its tag
// besides what it carries.
func joinVLAN(node *harness.Node, deed verdict.JoinVLAN) error {
	if deed.VLAN == 0 {
		return errors.New("no VLAN of the port would let it pass")
	}
	if !deed.Switch {
		port, err := node.Netlink().LinkByName(deed.Interface)
		if err != nil {
			return err
		}
		return node.Netlink().BridgeVlanAdd(port, uint16(deed.VLAN), !deed.Tagged, !deed.Tagged, false, true)
	}
	port := node.Port(deed.Interface)
	var tags []int
	plan, _ := node.Lab().Plan().Node(node.Name())
	if planned, has := plan.Port(port.Name()); has {
		tags = planned.Tags
	}
	untagged, tagged := port.Switch().Carried(tags)
	if deed.Tagged {
		tagged = append(tagged, deed.VLAN)
	} else {
		untagged = deed.VLAN
	}
	tagged = slices.DeleteFunc(tagged, func(id int) bool { return id == untagged })
	return port.SetVLANs(untagged, tagged...)
}
