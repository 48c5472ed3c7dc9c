package harness

import (
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
)

// artifactsVar is the directory that keeps bundles.
const artifactsVar = "NSTEST_ARTIFACTS"

// makeDir makes the bundle's directory. Where that cannot be, a temporary one is
// better than none.
func (b *bundle) makeDir() (string, error) {
	l, test := b.lab, safeName(b.lab.tb.Name())
	pkg := packageName()
	var wanted string
	switch root := os.Getenv(artifactsVar); {
	case root != "":
		wanted = filepath.Join(root, safePath(pkg), test)
	case flagValue("test.artifacts") == "true":
		wanted = b.artifactDir(pkg, test)
	}
	var refused error
	if wanted != "" {
		dir, err := makeUntaken(wanted)
		if err == nil {
			return dir, nil
		}
		refused = err
	}
	dir, err := os.MkdirTemp("", "nstest-"+test+"-")
	if err == nil && refused != nil {
		l.tb.Logf("nstest: lab %s: its bundle is in a temporary directory: %v", l.Name(), refused)
	}
	return dir, err
}

// makeUntaken makes a directory of that name, or of that name and a number.
func makeUntaken(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	return untaken(dir, "", func(dir string) error { return os.Mkdir(dir, 0o755) })
}

// untaken calls create with the name, then with numbers before its extension, until
// that is not there yet.
func untaken(name, extension string, create func(string) error) (string, error) {
	stem := strings.TrimSuffix(name, extension)
	for n := 2; ; n++ {
		err := create(name)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
		name = fmt.Sprintf("%s-%d%s", stem, n, extension)
	}
}

// artifactDir is the lab's directory in that which go test -artifacts keeps for
// the test. Ginkgo's is a new one at each call, and nobody's: there it is made
// where testing would have made it.
func (b *bundle) artifactDir(pkg, test string) string {
	root, err := filepath.Abs(filepath.Join(flagValue("test.outputdir"), "_artifacts"))
	if err != nil {
		return ""
	}
	if tb, ok := b.lab.tb.(interface{ ArtifactDir() string }); ok {
		dir := tb.ArtifactDir()
		if inside, err := filepath.Rel(root, dir); err == nil && filepath.IsLocal(inside) {
			return filepath.Join(dir, safeName(b.lab.Name()))
		}
		_ = os.Remove(dir)
	}
	return filepath.Join(root, safePath(pkg), test)
}

// flagValue is a flag of the test binary, "" when there is none of that name.
func flagValue(name string) string {
	if f := flag.Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// testBinary is what the test binary knows of itself: the import paths of its package
// and of the module; "" for what it does not know.
var testBinary = sync.OnceValue(func() (b struct{ module, path string }) {
	info, ok := debug.ReadBuildInfo()
	if ok && strings.HasSuffix(info.Path, ".test") && info.Path != "command-line-arguments.test" {
		b.module, b.path = info.Main.Path, strings.TrimSuffix(info.Path, ".test")
	}
	return b
})

// packageName is the package's import path without the module's, or the last part
// of it where both are one. Of a binary that does not know, it is the binary's name.
func packageName() string {
	b := testBinary()
	if b.path == "" {
		return strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	}
	if b.path == b.module {
		return path.Base(b.path)
	}
	return strings.TrimPrefix(b.path, b.module+"/")
}

// nameBound is how long a part of a path may become: file systems that encrypt
// take 143 bytes.
const nameBound = 100

// safeName is a name as any file system, and a store of artifacts, will take it.
// What is special becomes an underscore. A name that is cut ends in a number made
// of all of it, so that two stay two.
func safeName(name string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("-_.,+=@", r):
			return r
		}
		return '_'
	}, name)
	safe = strings.TrimLeft(safe, ".-") // no hidden file, no option
	if len(safe) > nameBound {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte(name))
		safe = fmt.Sprintf("%s-%08x", safe[:nameBound-9], hash.Sum32())
	}
	if safe == "" {
		return "_"
	}
	return safe
}

// safePath is safeName for each part of a path with slashes.
func safePath(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = safeName(parts[i])
	}
	return filepath.Join(parts...)
}
