package attached_test

import (
	"fmt"
	"runtime"

	"github.com/nstest/nstest/harness"
	. "github.com/onsi/ginkgo/v2"
)

// recorded is a test that notes how it was failed.
type recorded struct {
	harness.TB
	said string
}

func (r *recorded) Helper() {}

func (r *recorded) Fatalf(format string, args ...any) {
	r.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// fatal is what f fails its test with; "" for nothing.
func fatal(f func(harness.TB)) string {
	r := &recorded{TB: GinkgoTB()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r.said
}
