package probes

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ends are two sockets that are connected with each other; the first is watched.
func ends(t *testing.T) (*socket, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	s, err := polled(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.close(); _ = unix.Close(fds[1]) })
	return s, fds[1]
}

func (s *socket) got() bool {
	_, _, err := unix.Recvfrom(s.fd, make([]byte, 1), unix.MSG_DONTWAIT)
	return err == nil
}

func TestWait(t *testing.T) {
	t.Parallel()
	s, other := ends(t)
	send := func() { _ = unix.Send(other, []byte{1}, 0) }
	send()
	if done, err := s.wait(t.Context(), past, false, s.got); !done || err != nil {
		t.Error("what is there already: ", done, err)
	}
	time.AfterFunc(10*time.Millisecond, send)
	if done, err := s.wait(t.Context(), time.Now().Add(time.Minute), false, s.got); !done || err != nil {
		t.Error("what comes: ", done, err)
	}
	start := time.Now()
	if done, err := s.wait(t.Context(), start.Add(20*time.Millisecond), false, s.got); done || err != nil || time.Since(start) < 20*time.Millisecond {
		t.Error("what does not come: ", done, err, time.Since(start))
	}
	tries := 0
	late := func() bool { tries++; return tries == 2 }
	if done, err := s.wait(t.Context(), past, false, late); !done || err != nil {
		t.Error("what came by the time that the deadline was looked at: ", done, err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s, _ := ends(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	start := time.Now()
	done, err := s.wait(ctx, start.Add(time.Hour), false, s.got)
	if done || err != nil || !errors.Is(ctx.Err(), context.Canceled) || time.Since(start) > time.Minute {
		t.Error(done, err, time.Since(start))
	}
	// Whoever waits next is not cut short by it.
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _ = s.wait(ctx, time.Now().Add(time.Minute), false, s.got)
		start := time.Now()
		if done, err := s.wait(t.Context(), start.Add(2*time.Millisecond), false, s.got); done || err != nil || time.Since(start) < 2*time.Millisecond {
			t.Fatal("a wait after one whose context was over: ", done, err, time.Since(start))
		}
	}
	if done, err := s.wait(ctx, start.Add(time.Hour), false, s.got); done || err != nil {
		t.Error("a context that is over: ", done, err)
	}
}
