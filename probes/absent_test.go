package probes_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
	"github.com/nstest/nstest/probes/evidence"
	"github.com/nstest/nstest/probes/fence"
	policies "github.com/nstest/nstest/probes/policy"
	"github.com/nstest/nstest/topo"
)

// handles are what a test keeps in a variable that a BeforeEach which failed has not set. What
// is done with a nil one, or with the zero value, is an error.
var handles = []any{harness.Lab{}, harness.Node{}, harness.Port{}, harness.OpenVSwitch{}, harness.Cmd{}}

// values are of the other types that have methods.
var values = []any{
	harness.Endpoint{}, harness.Error{}, harness.Feature{}, harness.Log{}, harness.MeasuredImpairment{}, harness.OVSFlow{}, harness.OVSTrace{}, harness.Ready{},
	topo.BitRate(0), topo.BondMode(0), topo.Device{}, topo.Impairment{}, topo.Kind(""), topo.Mistakes{}, topo.Network{}, topo.Node{}, topo.NodePlan{}, topo.Plan{},
	topo.Port{}, topo.PortPlan{}, topo.RouteType(0), topo.RulePlan{}, topo.Segment{}, topo.SwitchPort{}, topo.WireGuardKey{},
	probes.Audience{}, probes.Claims{}, probes.Connection{}, probes.Extension(0), probes.Flow{}, probes.Grid{}, probes.IsolationMatcher{}, probes.MTU{}, probes.Matrix{},
	probes.Outcome(0), probes.Probe{}, probes.ReachMatcher{}, probes.RefusalMatcher{}, probes.Result{}, probes.Span{}, probes.Stats{}, probes.TCPFlags(0), probes.Trace{}, probes.TraceHop{},
	evidence.Carrier{}, evidence.Cause{}, evidence.Direction(0), evidence.Flow{}, evidence.Hop{}, evidence.Hops{}, evidence.Packet{}, evidence.Passed{}, evidence.Role(0),
	evidence.Rule{}, evidence.Sighting{}, evidence.Timeline{}, evidence.Tuple{},
	fence.Connection{}, fence.Finding{}, fence.Matcher{}, fence.Report{},
	policies.Change{}, policies.Difference{}, policies.Ending(0), policies.Fate(0), policies.Matcher{}, policies.Packet{}, policies.Part{}, policies.Policy{}, policies.Report{}, policies.Rule{}, policies.Verdict{},
}

// A new type with methods belongs into one of the lists; its methods come there by themselves.
func TestAllTypesAreTriedAbsent(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, value := range slices.Concat(handles, values) {
		tried[reflect.TypeOf(value).String()] = true
	}
	module := "github.com/nstest/nstest/"
	for _, p := range listed(t, module+"topo", module+"harness", module+"probes", module+"probes/evidence", module+"probes/fence", module+"probes/policy") {
		for _, name := range withMethods(t, p) {
			if !tried[p.Name+"."+name] {
				t.Errorf("%s.%s is in neither list: add it", p.Name, name)
			}
		}
	}
}

// withMethods are the exported types of a package that have exported methods.
func withMethods(t *testing.T, p goPackage) (names []string) {
	t.Helper()
	for _, file := range p.GoFiles {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			f, is := decl.(*ast.FuncDecl)
			if !is || f.Recv == nil || !f.Name.IsExported() {
				continue
			}
			of := f.Recv.List[0].Type
			if pointer, is := of.(*ast.StarExpr); is {
				of = pointer.X
			}
			if name, is := of.(*ast.Ident); is && name.IsExported() && !slices.Contains(names, name.Name) {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

func TestNoMethodOfWhatIsAbsentPanics(t *testing.T) {
	t.Parallel()
	for _, value := range values {
		for _, call := range callsOf(value) {
			call.run(t)
		}
	}
}

func TestWhatIsDoneWithAnAbsentHandleIsAnError(t *testing.T) {
	t.Parallel()
	for _, value := range handles {
		for _, call := range callsOf(value) {
			results, fatal := call.run(t)
			kind := call.method.Type()
			switch last := kind.NumOut() - 1; {
			case kind.NumIn() > 0 && kind.In(0) == reflect.TypeFor[harness.TB]():
				if !strings.Contains(fatal, "nil") {
					t.Errorf("%s fails its test with %q", call.name, fatal)
				}
			case last < 0 || kind.Out(last) != reflect.TypeFor[error]() || len(results) == 0:
			case results[last].IsNil():
				t.Errorf("%s works", call.name)
			case call.usual && !strings.Contains(fmt.Sprint(results[last]), "from Lab.Node") && !strings.Contains(fmt.Sprint(results[last]), "by Node.Command"):
				t.Errorf("%s does not say where to take one from: %v", call.name, results[last])
			}
		}
	}
}

// absentCall is a method of a nil pointer or zero value, and arguments.
type absentCall struct {
	name   string
	method reflect.Value
	args   []reflect.Value
	usual  bool // the arguments are such as a test gives
	tb     *absentTB
}

// isDeclared are those that return themselves for more to be declared, and have nowhere to tell
// of a mistake: a nil one must not swallow a declaration, with which a test would mean something else.
var isDeclared = map[reflect.Type]bool{reflect.TypeFor[topo.Node](): true, reflect.TypeFor[topo.Device](): true}

// callsOf are all methods of the zero value and of a nil pointer, but those of which Go itself
// needs the value, with the arguments that a test gives and with zero ones.
func callsOf(value any) (calls []absentCall) {
	of := reflect.TypeOf(value)
	pointer := reflect.PointerTo(of)
	for what, receiver := range map[string]func() reflect.Value{
		"zero": func() reflect.Value { return reflect.New(of) }, "nil": func() reflect.Value { return reflect.Zero(pointer) },
	} {
		for i := range pointer.NumMethod() {
			name := pointer.Method(i).Name
			if _, needed := of.MethodByName(name); what == "nil" && (needed || isDeclared[of]) {
				continue
			}
			for _, with := range []string{"usual", "no", "zero"} {
				call := absentCall{method: receiver().Method(i), usual: with == "usual", tb: &absentTB{}}
				call.name = fmt.Sprintf("%s of a %s %s with %s arguments", name, what, of, with)
				kind := call.method.Type()
				for k := range kind.NumIn() {
					switch in := kind.In(k); {
					case kind.IsVariadic() && k == kind.NumIn()-1:
						if with == "zero" {
							call.args = append(call.args, reflect.Zero(in.Elem()))
						}
					case in == reflect.TypeFor[harness.TB]():
						call.args = append(call.args, reflect.ValueOf(call.tb))
					case call.usual:
						call.args = append(call.args, usual(in))
					default:
						call.args = append(call.args, reflect.Zero(in))
					}
				}
				calls = append(calls, call)
			}
		}
	}
	return calls
}

// usual is an argument that works with a handle which is there.
func usual(in reflect.Type) reflect.Value {
	for _, value := range []any{
		"10.0.1.1", []byte("text"), netip.MustParseAddr("10.0.1.1"), netip.MustParseAddrPort("10.0.1.1:7"), netip.MustParsePrefix("10.0.1.1/24"),
		net.HardwareAddr{2, 0, 0, 0, 0, 1}, time.Millisecond, topo.Route{To: "10.0.3.0/24", Via: "10.0.1.2"},
	} {
		if reflect.TypeOf(value) == in {
			return reflect.ValueOf(value)
		}
	}
	switch {
	case in == reflect.TypeFor[context.Context]():
		return reflect.ValueOf(context.Background())
	case in.Kind() == reflect.Func:
		return reflect.MakeFunc(in, func([]reflect.Value) (results []reflect.Value) {
			for k := range in.NumOut() {
				results = append(results, reflect.Zero(in.Out(k)))
			}
			return results
		})
	}
	return reflect.Zero(in)
}

// run is what the method returns, or fails its test with.
func (c absentCall) run(t *testing.T) (results []reflect.Value, fatal string) {
	t.Helper()
	done := make(chan string)
	go func() {
		stack := ""
		defer func() { done <- stack }()
		defer func() {
			if p := recover(); p != nil {
				stack = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
		}()
		results = c.method.Call(c.args)
	}()
	if stack := <-done; stack != "" {
		t.Errorf("%s panics: %s", c.name, stack)
	}
	return results, c.tb.fatal
}

// absentTB is the test of what takes one.
type absentTB struct {
	testing.TB
	fatal string
}

func (*absentTB) Helper() {}
func (tb *absentTB) Fatalf(format string, args ...any) {
	tb.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
