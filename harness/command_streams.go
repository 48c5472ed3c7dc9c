package harness

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"reflect"
	"time"

	"golang.org/x/sys/unix"
)

// streams copy a program's input and output. Package exec would do so as well, and wait
// for ever for a Stdin that does not end or a Stdout that takes nothing.
type streams struct {
	theirs []io.Closer // the program's ends, closed here once it has started
	ours   []io.Closer
	copies []func() error // to be begun when the program has started
	ended  chan error     // one for each copy
	held   []error        // of those that had ended when hold returned
}

// connect gives the command files in place of the streams that are none.
func (s *streams) connect(command *exec.Cmd) (err error) {
	out, said := command.Stdout, command.Stderr
	if command.Stdin, err = s.from(command.Stdin); err != nil {
		return err
	}
	if command.Stdout, err = s.to(out); err != nil {
		return err
	}
	if same(out, said) {
		command.Stderr = command.Stdout // one pipe: in the order in which it was said
		return nil
	}
	command.Stderr, err = s.to(said)
	return err
}

// same says whether two writers are one, as package exec does.
func same(a, b io.Writer) bool {
	return a != nil && b != nil && reflect.TypeOf(a).Comparable() && reflect.TypeOf(b).Comparable() && a == b
}

func (s *streams) from(stream io.Reader) (io.Reader, error) {
	if _, isFile := stream.(*os.File); stream == nil || isFile {
		return stream, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.theirs, s.ours = append(s.theirs, read), append(s.ours, write)
	s.copies = append(s.copies, func() error {
		_, err := io.Copy(write, stream)
		_ = write.Close()
		if errors.Is(err, unix.EPIPE) {
			err = nil // the program did not want all of it
		}
		return err
	})
	return read, nil
}

func (s *streams) to(stream io.Writer) (io.Writer, error) {
	if _, isFile := stream.(*os.File); stream == nil || isFile {
		return stream, nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	s.theirs, s.ours = append(s.theirs, write), append(s.ours, read)
	s.copies = append(s.copies, func() error {
		_, err := io.Copy(stream, read)
		_ = read.Close()
		return err
	})
	return write, nil
}

// begin copies, when the program has started; else all is closed.
func (s *streams) begin(started bool) {
	closeAll(s.theirs)
	if !started {
		closeAll(s.ours)
		return
	}
	s.ended = make(chan error, len(s.copies))
	for _, copy := range s.copies {
		go func() { s.ended <- copy() }()
	}
}

// hold waits for the copies to end without a bound, or until over is closed.
func (s *streams) hold(over <-chan struct{}) {
	for len(s.held) < len(s.copies) {
		select {
		case err := <-s.ended:
			s.held = append(s.held, err)
		case <-over:
			return
		}
	}
}

// wait waits for the copies to end after the program has; after the delay it closes
// the pipes, and after another leaves who is stuck in a stream of the user's.
func (s *streams) wait(delay time.Duration) (err error) {
	left := len(s.copies) - len(s.held)
	err = errors.Join(s.held...)
	for _, last := range []bool{false, true} {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		for over := false; left > 0 && !over; {
			select {
			case failed := <-s.ended:
				left--
				if err == nil && !last {
					err = failed
				}
			case <-timer.C:
				over, err = true, exec.ErrWaitDelay
				closeAll(s.ours)
			}
		}
	}
	return err
}
