package verdict

import (
	"testing"

	"github.com/nstest/nstest/probes/evidence"
)

func TestNoPath(t *testing.T) {
	t.Parallel()
	c := NoPath("red/client", "blue/server")
	want := example{kind: evidence.NoPath, word: "nopath", policy: true, text: "the request was kept apart: no chain of links, bridges or tunnels joins red/client and blue/server"}
	if c.String() != want.text || c.Word() != want.word || c.Policy != want.policy || c.Kind != want.kind {
		t.Errorf("%s: %+v", c, c)
	}
}
