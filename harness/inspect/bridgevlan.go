package inspect

import (
	"encoding/binary"
	"slices"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
)

// BridgeVLANs are those of a port of a bridge that keeps VLANs apart (bridge-vlan(8)).
type BridgeVLANs struct {
	// PVID is that of what comes in without a tag; 0 for none: it is dropped.
	PVID int
	// Untagged are those whose frames go out without a tag, and Tagged the others that the
	// port carries.
	Untagged, Tagged []int
}

// Carries says whether the port takes and sends frames of a VLAN.
func (v *BridgeVLANs) Carries(id int) bool {
	return slices.Contains(v.Untagged, id) || slices.Contains(v.Tagged, id)
}

// KeepsVLANs says whether a link is a bridge that keeps VLANs apart.
func KeepsVLANs(link netlink.Link) bool {
	bridge, is := link.(*netlink.Bridge)
	return is && bridge.VlanFiltering != nil && *bridge.VlanFiltering
}

// askVLANs has a dump of bridges' ports have their VLANs.
func askVLANs() *mdlayher.AttributeEncoder {
	const extMask, withVLANs = 29, 1 << 1 // IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN (linux/if_link.h, linux/rtnetlink.h)
	attributes := mdlayher.NewAttributeEncoder()
	attributes.Uint32(extMask, withVLANs)
	return attributes
}

// bridgeVLANsOf reads the VLANs of a port.
func bridgeVLANsOf(attributes *mdlayher.AttributeDecoder) *BridgeVLANs {
	const vlanInfo, size, pvid, untagged = 2, 4, 1 << 1, 1 << 2 // IFLA_BRIDGE_VLAN_INFO and its flags (linux/if_bridge.h)
	v := new(BridgeVLANs)
	for attributes.Next() {
		info := attributes.Bytes()
		if attributes.Type() != vlanInfo || len(info) < size {
			continue
		}
		flags, id := binary.NativeEndian.Uint16(info), int(binary.NativeEndian.Uint16(info[2:]))
		if flags&pvid != 0 {
			v.PVID = id
		}
		if flags&untagged != 0 {
			v.Untagged = append(v.Untagged, id)
		} else {
			v.Tagged = append(v.Tagged, id)
		}
	}
	return v
}
