package harness

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nstest/nstest/harness/inspect"
	"github.com/nstest/nstest/topo"
)

// switchOVS reads the ports of an Open vSwitch: the VLANs of each, which count where a flow hands
// a frame on as a switch does (NORMAL).
func (l *Lab) switchOVS(segment *topo.SegmentPlan) (ports []SwitchPort, err error) {
	vlans, err := l.ovs().vlans()
	if err != nil {
		return nil, err
	}
	for _, ref := range segment.Ports {
		port := SwitchPort{Node: ref.Node, Port: ref.Port}
		port.Link.Name, port.Link.VLANs = ref.Outer, vlans[ref.Outer]
		ports = append(ports, port)
	}
	return ports, nil
}

// vlans are those of the ports of all switches, as the database has them now.
func (o *ovsDaemons) vlans() (map[string]*inspect.BridgeVLANs, error) {
	text, err := o.run("ovs-vsctl", "--timeout=30", "--format=json", "--columns=name,tag,trunks,vlan_mode", "list", "port")
	if err != nil {
		return nil, err
	}
	return parsePortVLANs(text)
}

// parsePortVLANs reads what ovs-vsctl lists of ports. One whose VLANs are not those of a port that
// bridge-vlan(8) knows, since it carries all of them or tags twice, has nil.
func parsePortVLANs(text string) (map[string]*inspect.BridgeVLANs, error) {
	var table struct {
		Data [][]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("read the switch's ports: %w", err)
	}
	ports := map[string]*inspect.BridgeVLANs{}
	for _, row := range table.Data {
		const columns = 4
		var name string
		if len(row) != columns || json.Unmarshal(row[0], &name) != nil {
			return nil, fmt.Errorf("ovs-vsctl tells of a port in words that are not known: %s", row)
		}
		var mode string
		_ = json.Unmarshal(row[3], &mode) // of none it is an empty set
		ports[name] = portVLANs(numbersOf(row[1]), numbersOf(row[2]), mode)
	}
	return ports, nil
}

// numbersOf are the numbers of a column: a set, or one alone (RFC 7047, 5.1).
func numbersOf(column json.RawMessage) (numbers []int) {
	var one int
	if json.Unmarshal(column, &one) == nil {
		return []int{one}
	}
	var set []json.RawMessage
	if json.Unmarshal(column, &set) != nil || len(set) != 2 || json.Unmarshal(set[1], &numbers) != nil {
		return nil
	}
	return numbers
}

// portVLANs are the VLANs of a port with these columns (ovs-vswitchd.conf.db(5), Port).
func portVLANs(tag, trunks []int, mode string) *inspect.BridgeVLANs {
	if mode == "" && len(tag) > 0 {
		mode = "access"
	} else if mode == "" {
		mode = "trunk"
	}
	if slices.Contains(tag, 0) || slices.Contains(trunks, 0) {
		return nil // what has no tag is in a VLAN like others
	}
	switch {
	case mode == "access" && len(tag) == 1:
		return &inspect.BridgeVLANs{PVID: tag[0], Untagged: tag}
	case mode == "trunk" && len(trunks) > 0:
		return &inspect.BridgeVLANs{Tagged: trunks}
	case mode == "native-untagged" && len(tag) == 1 && len(trunks) > 0:
		return &inspect.BridgeVLANs{PVID: tag[0], Untagged: tag, Tagged: slices.DeleteFunc(trunks, func(id int) bool { return id == tag[0] })}
	}
	return nil
}
