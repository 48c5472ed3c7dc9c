package harness

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// writeIndex says what failed where, how to repeat it, and what each file is.
func (b *bundle) writeIndex(to io.Writer, entries []entry) error {
	text := new(bytes.Buffer)
	fmt.Fprintf(text, "What lab %s was like when its test had failed.\n\n", b.lab.Name())
	fmt.Fprintf(text, "test     %s\npackage  %s\nwhen     %s\nwhere    %s\n", b.lab.tb.Name(), packageName(), time.Now().Format(time.RFC3339), where())
	from := "the package's directory"
	if module := testBinary().module; module != "" {
		from = "the root of module " + module
	}
	fmt.Fprintf(text, "\nTo repeat it, from %s:\n\n    %s\n", from, repeatLine(b.lab.tb.Name()))
	fmt.Fprintf(text, "\nIt was run as:\n\n    %s\n\nFiles:\n\n", quoteAll(os.Args))
	w := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		about := e.about
		if e.err != nil {
			about = strings.TrimPrefix(about+"; ", "; ") + "not all of it: " + strings.ReplaceAll(e.err.Error(), "\n", "; ")
		}
		fmt.Fprintf(w, "    %s\t%s\n", e.name, about)
	}
	_ = w.Flush()
	_, err := to.Write(text.Bytes())
	return err
}

// where is the machine, as far as a test may depend on it.
func where() string {
	var name unix.Utsname
	_ = unix.Uname(&name)
	who := "root"
	if Rootless() {
		who = "an ordinary user, in the sandbox"
	}
	return fmt.Sprintf("Linux %s %s, %d processors, %s, as %s",
		unix.ByteSliceToString(name.Release[:]), runtime.GOARCH, runtime.NumCPU(), runtime.Version(), who)
}

var goTest = regexp.MustCompile(`^(Test|Benchmark|Fuzz|Example)([^\p{Ll}]\S*)?$`)

// repeatLine is the command that runs one test again. What is no name of a Go test
// is a Ginkgo spec's text.
func repeatLine(test string) string {
	line := environment()
	line = append(line, "go", "test", "-count=1")
	line = append(line, buildFlags()...)
	pkg := "."
	if b := testBinary(); b.path != b.module {
		pkg = "./" + packageName()
	}
	switch first, _, _ := strings.Cut(test, "/"); {
	case !goTest.MatchString(first):
		return quoteAll(append(line, pkg, "-ginkgo.focus="+regexp.QuoteMeta(test)+"$"))
	case strings.HasPrefix(test, "Benchmark"):
		line = append(line, "-run=^$", "-bench="+exactly(test))
	default:
		line = append(line, "-run="+exactly(test))
	}
	return quoteAll(append(line, pkg))
}

// exactly is the pattern of one test and no other, part by part.
func exactly(test string) string {
	parts := strings.Split(test, "/")
	for i := range parts {
		parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
	}
	return strings.Join(parts, "/")
}

// environment is what the harness, and tests like ours, were told by it.
func environment() []string {
	var told []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case !strings.HasPrefix(name, "NSTEST_"):
		case name == artifactsVar || name == "NSTEST_RULE_COVERAGE": // where files go
		case name == sandboxVar && value == inside:
		default:
			told = append(told, variable)
		}
	}
	return told
}

// buildFlags are those that make another test of it.
func buildFlags() []string {
	var flags []string
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "-race" && setting.Value == "true":
			flags = append(flags, "-race")
		case setting.Key == "-tags":
			flags = append(flags, "-tags="+setting.Value)
		}
	}
	return flags
}

var plain = regexp.MustCompile(`^[\w./:=,+@%-]+$`)

// quoteAll is a command line as a shell takes it.
func quoteAll(args []string) string {
	quoted := make([]string, len(args))
	for i, arg := range args {
		// NAME=value keeps its name outside of the quotes: else it is no variable.
		name, value, assigns := strings.Cut(arg, "=")
		switch {
		case plain.MatchString(arg):
			quoted[i] = arg
		case assigns && plain.MatchString(name):
			quoted[i] = name + "=" + quote(value)
		default:
			quoted[i] = quote(arg)
		}
	}
	return strings.Join(quoted, " ")
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
