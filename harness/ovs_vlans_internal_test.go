package harness

import (
	"reflect"
	"testing"

	"github.com/nstest/nstest/harness/inspect"
)

func TestVLANsOfPortsAreRead(t *testing.T) {
	t.Parallel()
	none := `["set",[]]`
	for what, c := range map[string]struct {
		tag, trunks, mode string
		want              *inspect.BridgeVLANs
	}{
		"access":                   {"20", none, `"access"`, &inspect.BridgeVLANs{PVID: 20, Untagged: []int{20}}},
		"a tag alone":              {"20", none, none, &inspect.BridgeVLANs{PVID: 20, Untagged: []int{20}}},
		"a trunk":                  {none, `["set",[100,200]]`, `"trunk"`, &inspect.BridgeVLANs{Tagged: []int{100, 200}}},
		"a trunk of one":           {none, "100", none, &inspect.BridgeVLANs{Tagged: []int{100}}},
		"native without a tag":     {"7", `["set",[7,100]]`, `"native-untagged"`, &inspect.BridgeVLANs{PVID: 7, Untagged: []int{7}, Tagged: []int{100}}},
		"native with a tag":        {"7", "100", `"native-tagged"`, nil},
		"all":                      {none, none, none, nil},
		"all, and one without":     {"7", none, `"native-untagged"`, nil},
		"twice":                    {"7", none, `"dot1q-tunnel"`, nil},
		"what has no tag, as well": {none, `["set",[0,100]]`, none, nil},
	} {
		got, err := parsePortVLANs(`{"data":[["web",` + c.tag + `,` + c.trunks + `,` + c.mode + `]],"headings":["name","tag","trunks","vlan_mode"]}`)
		if err != nil || !reflect.DeepEqual(got["web"], c.want) {
			t.Errorf("%s: %+v %v, not %+v", what, got["web"], err, c.want)
		}
	}
	for _, wrong := range []string{"", `{"data":[["web"]]}`, `{"data":[[1,2,3,4]]}`} {
		if _, err := parsePortVLANs(wrong); err == nil {
			t.Errorf("%q is read", wrong)
		}
	}
}
