package harness

// TB is what the harness needs of a test. *testing.T, *testing.B, *testing.F
// and Ginkgo's GinkgoTB() satisfy it.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// nobody stands in for the test while a lab is being built: whoever builds gets
// an error instead.
type nobody struct{}

func (nobody) Helper()               {}
func (nobody) Name() string          { return "" }
func (nobody) Logf(string, ...any)   {}
func (nobody) Errorf(string, ...any) {}
func (nobody) Fatalf(string, ...any) {}
func (nobody) Skipf(string, ...any)  {}
func (nobody) Failed() bool          { return false }
func (nobody) Cleanup(func())        {}
