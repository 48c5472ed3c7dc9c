package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The disk is made of files alone, which its tools can read again.
func TestADiskHasItsKernelAndItsRoot(t *testing.T) {
	if err := programs(); err != nil {
		t.Skip(err)
	}
	scratch := t.TempDir()
	root := filepath.Join(scratch, "root")
	for path, text := range map[string]string{"boot/vmlinuz-1": "kernel", "boot/initrd.img-1": "initrd", "etc/hostname": "bookworm\n"} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeDisk(scratch, root); err != nil {
		t.Fatal(err)
	}
	raw := filepath.Join(scratch, "raw")
	for _, test := range []struct{ want, command string }{
		{"bootable", "sfdisk --dump " + raw},
		{"kernel", "mtype -i " + raw + "@@1M ::vmlinuz"},
		{"initrd", "mtype -i " + raw + "@@1M ::initrd.img"},
		{"root=LABEL=root", "mtype -i " + raw + "@@1M ::syslinux.cfg"},
		{"bookworm", "debugfs -R 'cat /etc/hostname' " + raw + "?offset=135266304"},
		{"file format: qcow2", "qemu-img info " + filepath.Join(scratch, diskImage)},
	} {
		out, err := exec.Command("sh", "-c", "PATH=$PATH:/usr/sbin:/sbin "+test.command).CombinedOutput()
		if err != nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%s: %v: %s; want %q", test.command, err, out, test.want)
		}
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("the root is still there")
	}
}
