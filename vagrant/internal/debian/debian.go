// Package debian says where Debian's packages come from: the mirrors, proxies and
// keys that this machine has already.
package debian

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/host"
)

// Keyring has the keys that sign Debian's releases; the package is
// debian-archive-keyring.
const Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Sources is a sources.list for a release ("bookworm"), with its security updates.
func Sources(release string) (string, error) {
	if _, err := os.Stat(Keyring); err != nil {
		return "", fmt.Errorf("%w: apt-get install debian-archive-keyring", err)
	}
	var targets string
	// Without release info it also works where no lists are, as in a container.
	for _, info := range []string{"--no-release-info", "--release-info"} {
		text, err := host.Output("apt-get", "indextargets", info, "--format", "$(RELEASE) $(REPO_URI) $(LABEL)", "Created-By: Packages")
		if err != nil {
			return "", err
		}
		targets += text
	}
	return sourcesOf(release, targets)
}

// Acquire is how the machine's apt fetches, as lines for apt.conf: proxies and
// the like.
func Acquire() (string, error) {
	return host.Output("apt-config", "dump", "--format", "%F \"%v\";%n", "Acquire")
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
	sources := fmt.Sprintf("deb [signed-by=%s] %s %s main\n", Keyring, main, release)
	if security != "" {
		sources += fmt.Sprintf("deb [signed-by=%s] %s %s-security main\n", Keyring, security, release)
	}
	return sources, nil
}
