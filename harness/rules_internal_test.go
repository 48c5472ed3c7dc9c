package harness

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// An nft that hangs is killed, and what it has started with it: who has the pipe open is alive.
func TestALoaderThatHangsIsKilled(t *testing.T) {
	dir := t.TempDir()
	network := topo.New("alone")
	network.Host("bob")
	bob := Up(t, network).Node("bob")
	if err := bob.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	defer func(bound time.Duration) { loaderBound = bound }(loaderBound)
	for name, load := range map[string]func(string) error{
		"nft": bob.Nft, "ipset": bob.Ipset, "iptables-restore": func(text string) error { return bob.Iptables(text) },
	} {
		path := filepath.Join(dir, name)
		script := "#!/bin/sh\nexec 9>" + path + ".pipe\necho waits\nsleep 1000 &\nsleep 1000\n"
		if err := errors.Join(os.WriteFile(path, []byte(script), 0o755), unix.Mkfifo(path+".pipe", 0o600)); err != nil {
			t.Fatal(err)
		}
		alive, err := os.OpenFile(path+".pipe", os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer alive.Close()
		loaderBound = 100 * time.Millisecond
		err = load("x")
		for ; err != nil && !strings.Contains(err.Error(), "waits"); err = load("x") {
			loaderBound *= 2 // on a busy machine it had not even begun
		}
		if !errors.Is(err, errLoaderHangs) || !strings.Contains(err.Error(), "it did not end in time") {
			t.Errorf("%s: %v", name, err)
		}
		if err := alive.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := alive.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%s: what it started is alive: %v", name, err)
		}
	}
}
