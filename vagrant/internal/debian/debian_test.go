package debian

import (
	"strings"
	"testing"
)

func TestSourcesComeFromTheMachinesMirrors(t *testing.T) {
	for name, test := range map[string]struct{ targets, want string }{
		"Debian": {
			"bookworm http://mirror.test/debian/ Debian\nbookworm-updates http://mirror.test/debian/ Debian\n" +
				"bookworm-security http://sec.test/debian-security/ Debian-Security\n12 http://other.test/repo Other\n",
			"deb [signed-by=" + Keyring + "] http://mirror.test/debian trixie main\n" +
				"deb [signed-by=" + Keyring + "] http://sec.test/debian-security trixie-security main\n",
		},
		"without lists, as in a container": {
			"stable http://mirror.test/debian/ $(LABEL)\nstable-security http://mirror.test/debian-security/ $(LABEL)\n",
			"deb [signed-by=" + Keyring + "] http://mirror.test/debian trixie main\n" +
				"deb [signed-by=" + Keyring + "] http://mirror.test/debian-security trixie-security main\n",
		},
		"no security": {
			"bookworm http://mirror.test/debian/ Debian\n",
			"deb [signed-by=" + Keyring + "] http://mirror.test/debian trixie main\n",
		},
	} {
		got, err := sourcesOf("trixie", test.targets)
		if err != nil || got != test.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, test.want)
		}
	}
	_, err := sourcesOf("trixie", "noble http://mirror.test/ubuntu Ubuntu\n")
	if err == nil || !strings.Contains(err.Error(), "no mirror of Debian") {
		t.Errorf("another distribution: %v", err)
	}
}
