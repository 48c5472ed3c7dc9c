package inspect

import (
	"encoding/binary"
	"reflect"
	"testing"

	mdlayher "github.com/mdlayher/netlink"
)

func TestBridgeVLANs(t *testing.T) {
	t.Parallel()
	encoder := mdlayher.NewAttributeEncoder()
	for _, info := range [][2]uint16{{6, 100}, {0, 200}, {4, 300}, {0, 4094}} { // PVID and untagged, tagged, untagged
		encoder.Do(2, func() ([]byte, error) {
			return binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, info[0]), info[1]), nil
		})
	}
	encoder.Bytes(2, []byte{1, 2})       // none
	encoder.Bytes(3, []byte{1, 0, 1, 0}) // of a tunnel
	encoded, err := encoder.Encode()
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := mdlayher.NewAttributeDecoder(encoded)
	if err != nil {
		t.Fatal(err)
	}
	got := bridgeVLANsOf(decoder)
	if want := (&BridgeVLANs{PVID: 100, Untagged: []int{100, 300}, Tagged: []int{200, 4094}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, not %+v", got, want)
	}
	for id, want := range map[int]bool{100: true, 200: true, 300: true, 1: false} {
		if got.Carries(id) != want {
			t.Errorf("VLAN %d: %v", id, !want)
		}
	}
}
