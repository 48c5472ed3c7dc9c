package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/cache"
)

// keyring has the keys that sign Debian's releases; the package is
// debian-archive-keyring.
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

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
	if _, err := os.Stat(keyring); err != nil {
		return nil, fmt.Errorf("%w: apt-get install debian-archive-keyring", err)
	}
	for _, sub := range []string{"etc/preferences.d", "state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	var targets string
	// Without release info it also works where no lists are, as in a container.
	for _, info := range []string{"--no-release-info", "--release-info"} {
		text, err := output("apt-get", "indextargets", info, "--format", "$(RELEASE) $(REPO_URI) $(LABEL)", "Created-By: Packages")
		if err != nil {
			return nil, err
		}
		targets += text
	}
	sources, err := sourcesOf(release, targets)
	if err != nil {
		return nil, err
	}
	// Proxies and the like are the machine's.
	acquire, err := output("apt-config", "dump", "--format", "%F \"%v\";%n", "Acquire")
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

// sourcesOf is a sources.list with the mirrors of the machine, from the lines
// "release URI label" of its own.
func sourcesOf(release, targets string) (string, error) {
	var main, security string
	for line := range strings.Lines(targets) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		label := ""
		if len(words) > 2 {
			label = words[2]
		}
		uri := strings.TrimSuffix(words[1], "/")
		switch {
		case strings.HasSuffix(words[0], "-security") && (label == "Debian-Security" || strings.HasSuffix(uri, "/debian-security")):
			security = uri
		case label == "Debian" || strings.HasSuffix(uri, "/debian"):
			main = uri
		}
	}
	if main == "" {
		return "", errors.New("apt knows no mirror of Debian here: give its sources one, or run this on Debian")
	}
	sources := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", keyring, main, release)
	if security != "" {
		sources += fmt.Sprintf("deb [signed-by=%s] %s %s-security main\n", keyring, security, release)
	}
	return sources, nil
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
	if _, err := outputOf(download); err != nil {
		return err
	}
	deb, err := one(filepath.Join(archives, "*.deb"))
	if err != nil {
		return err
	}
	return run("dpkg-deb", "-x", deb, into)
}

func (a *apt) get(args ...string) error {
	_, err := a.output("apt-get", append([]string{"-q"}, args...)...)
	return err
}

func (a *apt) output(name string, args ...string) (string, error) {
	return outputOf(a.command(name, args...))
}

func (a *apt) command(name string, args ...string) *exec.Cmd {
	cmd := command(name, args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.conf, "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	return cmd
}

func run(name string, args ...string) error {
	_, err := output(name, args...)
	return err
}

func output(name string, args ...string) (string, error) {
	return outputOf(command(name, args...))
}

// outputOf is what a command says, and when it fails, the error with its reason.
func outputOf(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
