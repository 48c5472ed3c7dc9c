package harness

import (
	"strings"
	"testing"
)

// What only asks a switch is not done again in a twin.
func TestWhatOfVsctlChangesNothing(t *testing.T) {
	t.Parallel()
	for args, reads := range map[string]bool{
		"list port": true, "--columns=_uuid list mirror": true, "get Open_vSwitch . _uuid": true, "": true,
		"set port web tag=7": false, "--if-exists del-br br-int": false, "list port -- set port web tag=7": false,
		"-- --id=@all create mirror name=all": false,
	} {
		if readsOnly(strings.Fields(args)) != reads {
			t.Errorf("%q: %v", args, !reads)
		}
	}
}
