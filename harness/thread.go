package harness

import (
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on a thread that nothing else ever runs on again: it is
// locked, never unlocked, and ends with f. It is never the process's main
// thread: Go cannot end that one, so it would pin whatever namespace it is in.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// We were given the main thread. Hold it until another goroutine has
		// locked a different one, then let it go.
		held := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(held)
			f()
		}()
		<-held
		runtime.UnlockOSThread()
	}()
}

// verdict is how a piece of work on a thread ended: returned, panicked, or
// left by runtime.Goexit, as testing's FailNow does.
type verdict struct {
	err      error
	panicked any
	exited   bool
}

// perform runs f and notes how it ended. After a Goexit the deferred part
// still runs, and the goroutine is gone when it is done.
func perform(f func() error, done chan<- verdict) {
	v := verdict{exited: true}
	defer func() {
		if v.exited {
			if p := recover(); p != nil {
				v.panicked, v.exited = p, false
			}
		}
		done <- v
	}()
	v.err = f()
	v.exited = false
}

// deliver hands what happened on the thread to the goroutine that asked for
// it: a panic panics there, a Goexit ends it there.
func (v verdict) deliver() error {
	if v.panicked != nil {
		panic(v.panicked)
	}
	if v.exited {
		runtime.Goexit()
	}
	return v.err
}

// once runs f on a throw-away thread, after enter.
func once(enter, f func() error) error {
	done := make(chan verdict, 1)
	onOwnThread(func() {
		perform(func() error {
			if err := enter(); err != nil {
				return err
			}
			return f()
		}, done)
	})
	return (<-done).deliver()
}

// thread is an OS thread that stays: it goes where enter takes it, and does
// one piece of work after another there until it is closed.
type thread struct {
	enter  func() error
	closed atomic.Bool

	mu   sync.Mutex // held while a piece of work runs
	jobs chan job
}

type job struct {
	f    func() error
	done chan<- verdict
}

func newThread(enter func() error) *thread { return &thread{enter: enter} }

// start starts the OS thread if there is none. The caller holds t.mu.
func (t *thread) start() error {
	if t.closed.Load() {
		return errDown
	}
	if t.jobs != nil {
		return nil
	}
	jobs, entered := make(chan job), make(chan verdict, 1)
	onOwnThread(func() {
		perform(t.enter, entered)
		for j := range jobs {
			perform(j.f, j.done)
		}
	})
	if err := (<-entered).deliver(); err != nil {
		close(jobs)
		return err
	}
	t.jobs = jobs
	return nil
}

// run does f on the thread, after what runs there now.
func (t *thread) run(f func() error) error {
	t.mu.Lock()
	return t.runLocked(f)
}

// tryRun does f on the thread if it is idle; if not it says so at once.
func (t *thread) tryRun(f func() error) (ran bool, err error) {
	if !t.mu.TryLock() {
		return false, nil
	}
	return true, t.runLocked(f)
}

func (t *thread) runLocked(f func() error) error {
	v, err := t.submit(f)
	if err != nil {
		return err
	}
	return v.deliver()
}

func (t *thread) submit(f func() error) (verdict, error) {
	defer t.endIfClosed()
	defer t.mu.Unlock()
	if err := t.start(); err != nil {
		return verdict{}, err
	}
	done := make(chan verdict, 1)
	t.jobs <- job{f, done}
	v := <-done
	if v.exited {
		t.jobs = nil // its goroutine is gone, and the thread with it
	}
	return v, nil
}

// close ends the thread, now or when its present work is done. It does not wait:
// the work may be somebody's that blocks for ever.
func (t *thread) close() {
	t.closed.Store(true)
	t.endIfClosed()
}

// endIfClosed ends a closed thread unless it is busy; then who unlocks it comes
// here again.
func (t *thread) endIfClosed() {
	if !t.closed.Load() || !t.mu.TryLock() {
		return
	}
	defer t.mu.Unlock()
	if t.jobs != nil {
		close(t.jobs)
		t.jobs = nil
	}
}
