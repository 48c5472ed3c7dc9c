package verdict

import (
	"testing"

	"github.com/nstest/nstest/probes/evidence"
)

func TestNoPath(t *testing.T) {
	t.Parallel()
	c := NoPath("red/client", "blue/server")
	const want = "the request was kept apart: no chain of links, bridges or tunnels joins red/client and blue/server"
	if c.String() != want || c.Word() != "nopath" || !c.Policy || c.Kind != evidence.NoPath {
		t.Errorf("%s: %+v", c, c)
	}
}
