package harness

import (
	"fmt"
	"os"
	"path/filepath"
)

// Unpacked are Debian packages that lie unpacked in the cache, where .ci/unpack puts
// them: for tests that run a package's programs in a node, when installing it would
// start it on the machine. NSTEST_MISSING lists them as packages.
func Unpacked(names ...string) Feature {
	return Feature{name: "packages", of: fmt.Sprint(names), check: func() error {
		for _, name := range names {
			root, err := PackageRoot(name)
			if err != nil {
				return err
			}
			if _, err := os.Stat(root); err != nil {
				return missing{fmt.Sprintf("%s is not unpacked: .ci/unpack %s", name, name)}
			}
		}
		return nil
	}}
}

// PackageRoot is the root directory of a package that is Unpacked: usr, etc and so
// on, with the files of the package and of those of its dependencies that the
// machine lacked. It is not to be written to.
func PackageRoot(name string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", at(err, "package %s", name)
	}
	return filepath.Join(cache, "nstest", "packages", name), nil
}
