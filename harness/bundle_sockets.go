package harness

import (
	"fmt"
	"io"

	"github.com/nstest/nstest/harness/inspect"
)

// sockets writes who listens, and what is connected. What the test itself has
// closed by now is not there any more.
func (s *state) sockets(w io.Writer) error {
	all, err := inspect.Sockets(tableBound)
	for _, socket := range all {
		fmt.Fprintln(w, socket)
	}
	return err
}
