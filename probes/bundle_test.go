package probes_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nstest/nstest/harness"
	"github.com/nstest/nstest/probes"
)

// failing is a test that has failed: its lab leaves a bundle.
type failing struct{ testing.TB }

func (failing) Failed() bool { return true }

func TestWatchedProbesAreInTheFailureBundle(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("NSTEST_ARTIFACTS", dir)
	lab := harness.Up(failing{t}, office(""))
	client, server := lab.Node("client"), lab.Node("server")
	for _, p := range []probes.Probe{icmp, probes.TCP(23)} {
		if _, err := probes.Watch(t.Context(), client, server, p); err != nil {
			t.Fatal(err)
		}
	}
	lab.Down()
	found := map[string]string{}
	_ = filepath.WalkDir(dir, func(path string, entry os.DirEntry, _ error) error {
		if !entry.IsDir() {
			text, _ := os.ReadFile(path)
			found[filepath.Base(path)] = string(text)
		}
		return nil
	})
	for name, want := range map[string]string{
		"client-server-icmp.txt": "client -> server (10.0.2.1) icmp: answered by server",
		"packets.pcapng":         "server/dmz", // an interface's name
	} {
		if !strings.Contains(found[name], want) {
			t.Errorf("%q is not in %s: %q", want, name, found[name])
		}
	}
	refused := ""
	for name, text := range found {
		if strings.Contains(name, "23") {
			refused = text
		}
	}
	if !strings.Contains(refused, "the request was refused at server/dmz: nobody has port 23") {
		t.Errorf("%q", refused)
	}
}
