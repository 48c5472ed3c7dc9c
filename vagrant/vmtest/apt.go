package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/debian"
	"github.com/nstest/nstest/vagrant/internal/host"
)

// apt is apt-get for one release, in a directory of its own: the machine's
// sources and packages stay as they are. What it downloads is verified by the
// signature of the release, as always.
type apt struct {
	release, dir, conf string
}

// newApt asks the mirrors that this machine uses already.
func newApt(release string) (*apt, error) {
	dir, err := cache.Dir("apt", release)
	if err != nil {
		return nil, err
	}
	a := &apt{release, dir, filepath.Join(dir, "apt.conf")}
	for _, sub := range []string{"etc/preferences.d", "state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	sources, err := debian.Sources(release)
	if err != nil {
		return nil, err
	}
	acquire, err := debian.Acquire()
	if err != nil {
		return nil, err
	}
	conf := acquire + fmt.Sprintf(`Dir %q; Dir::Etc "etc"; Dir::State "state"; Dir::State::status "status"; Dir::Cache "cache";
Acquire::Languages "none"; APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Sandbox::User "root";
`, dir)
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "etc", "sources.list"), []byte(sources), 0o644),
		os.WriteFile(filepath.Join(dir, "status"), nil, 0o644),
		os.WriteFile(a.conf, []byte(conf), 0o644))
	if err != nil {
		return nil, err
	}
	return a, a.get("update")
}

// dependency is the package with that prefix which a meta package depends on.
func (a *apt) dependency(meta, prefix string) (string, error) {
	text, err := a.output("apt-cache", "show", "--no-all-versions", meta)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(text) {
		list, found := strings.CutPrefix(line, "Depends: ")
		if !found {
			continue
		}
		for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return strings.ContainsRune(" ,\n", r) }) {
			if strings.HasPrefix(word, prefix) {
				return word, nil
			}
		}
	}
	return "", fmt.Errorf("%s of %s depends on no %s", meta, a.release, prefix)
}

// unpack downloads a package and unpacks it into a directory.
func (a *apt) unpack(name, into string) error {
	archives := filepath.Join(a.dir, "deb")
	defer os.RemoveAll(archives)
	if err := errors.Join(os.RemoveAll(archives), os.MkdirAll(archives, 0o755)); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "vmtest: fetching %s of %s\n", name, a.release)
	download := a.command("apt-get", "-q", "download", name)
	download.Dir = archives
	if _, err := host.OutputOf(download); err != nil {
		return err
	}
	deb, err := one(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	return host.Run("dpkg-deb", "-x", deb, into)
}

func (a *apt) get(args ...string) error {
	_, err := a.output("apt-get", append([]string{"-q"}, args...)...)
	return err
}

func (a *apt) output(name string, args ...string) (string, error) {
	return host.OutputOf(a.command(name, args...))
}

func (a *apt) command(name string, args ...string) *exec.Cmd {
	cmd := host.Command(name, args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.conf, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}
