package watch_test

import (
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes/internal/watch"
)

// There is no trace where it could not be opened, so that who ends what there is ends none.
func TestNoTraceOfANodeThatIsGone(t *testing.T) {
	t.Parallel()
	lab := harness.Up(t, office(""))
	fw := lab.Node("fw")
	lab.Down()
	if trace, err := watch.OpenTrace(fw); err == nil || trace != nil {
		t.Errorf("it is %v, and the error %v", trace, err)
	}
}
