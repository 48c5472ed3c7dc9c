package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/host"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// boxName is what the box is added as, and what NSTEST_BOX says.
const boxName = "nstest/" + release + "64"

// There is no polkit to ask, no virtlogd, no systemd; root is all there is.
const (
	libvirtdConf = `auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
log_outputs = "2:file:%s"
`
	qemuConf = `user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
stdio_handler = "file"
`
)

// runBeside is the stage that runs a command beside a libvirtd.
func runBeside(box, scratch string, args []string) (int, error) {
	if err := errors.Join(hideState(scratch), hideAccounts(scratch)); err != nil {
		return 0, err
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return 0, err
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return 0, fmt.Errorf("lo: %w", err)
	}
	if err := startLibvirtd(scratch); err != nil {
		return 0, err
	}
	env := append(os.Environ(), "NSTEST_CPUS="+cpus(), "NSTEST_BOX="+boxName, "VAGRANT_DEFAULT_PROVIDER=libvirt", "VAGRANT_CHECKPOINT_DISABLE=1",
		"VAGRANT_HOME="+filepath.Join(scratch, "home"), "VAGRANT_DOTFILE_PATH="+filepath.Join(scratch, "dot"))
	add := host.Command("vagrant", "box", "add", "--name", boxName, "--provider", "libvirt", box)
	add.Env = env
	if _, err := host.OutputOf(add); err != nil {
		return 0, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return status(context.Background(), cmd.Run())
}

// cpus is how many processors a guest gets. QEMU before 8.1 emulates no more than
// one well: see vmtest.
func cpus() string {
	switch set := os.Getenv("NSTEST_CPUS"); {
	case set != "":
		return set
	case os.Getenv("NSTEST_DRIVER") == "kvm":
		return "2"
	}
	return "1"
}

// hideState puts files of this run over those that libvirtd and its like write to,
// and over /run, where the machine's own may listen. The machine may not have all
// the directories: /var gets a layer that has.
func hideState(scratch string) error {
	layer := filepath.Join(scratch, "layer")
	if err := errors.Join(os.Mkdir(layer, 0o755), mount("tmpfs", layer, "tmpfs", "")); err != nil {
		return err
	}
	upper, work := filepath.Join(layer, "upper"), filepath.Join(layer, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	// The scratch directory itself may be in /var, and is to stay on its disk.
	disk, err := os.Open(scratch)
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := mount("overlay", "/var", "overlay", fmt.Sprintf("lowerdir=/var,upperdir=%s,workdir=%s", upper, work)); err != nil {
		return err
	}
	if err := mount(fmt.Sprintf("/proc/self/fd/%d", disk.Fd()), scratch, "", ""); err != nil {
		return err
	}
	for _, dir := range []string{"/var/lib/libvirt", "/etc/libvirt"} {
		own := filepath.Join(scratch, "state", dir)
		if err := errors.Join(os.MkdirAll(own, 0o755), os.MkdirAll(dir, 0o755), mount(own, dir, "", "")); err != nil {
			return err
		}
	}
	return mount("tmpfs", "/run", "tmpfs", "mode=755")
}

// mount mounts a file system of that kind, or with none, what else the source is.
func mount(source, target, kind, options string) error {
	var flags uintptr
	if kind == "" {
		flags = unix.MS_BIND
	}
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount over %s: %w", target, err)
	}
	return nil
}

// hideAccounts adds the accounts that libvirtd looks for, whoever it runs guests
// as. The package that has them would bring a newer systemd along.
func hideAccounts(scratch string) error {
	for path, lines := range map[string][]string{
		"/etc/passwd": {"libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"},
		"/etc/group":  {"libvirt-qemu:x:64055:", "kvm:x:64056:"},
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		own := filepath.Join(scratch, filepath.Base(path))
		if err := os.WriteFile(own, []byte(withAccounts(string(text), lines)), 0o644); err != nil {
			return err
		}
		if err := mount(own, path, "", ""); err != nil {
			return err
		}
	}
	return nil
}

// withAccounts is a passwd(5) or group(5) with those lines whose names it lacks.
func withAccounts(text string, lines []string) string {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		if !strings.Contains("\n"+text, "\n"+name+":") {
			text = strings.TrimSuffix(text, "\n") + "\n" + line + "\n"
		}
	}
	return text
}

// startLibvirtd returns when it answers. It is a child of the namespace's first
// process, and dies with it.
func startLibvirtd(scratch string) error {
	log := filepath.Join(scratch, "libvirtd.log")
	conf := map[string]string{"libvirtd.conf": fmt.Sprintf(libvirtdConf, log), "qemu.conf": qemuConf}
	if err := writeFiles("/etc/libvirt", conf); err != nil {
		return err
	}
	err := host.Run("libvirtd", "--daemon", "--config", "/etc/libvirt/libvirtd.conf")
	if err == nil {
		err = host.Run("virsh", "--connect", "qemu:///system", "version")
	}
	if err != nil {
		said, _ := os.ReadFile(log)
		return fmt.Errorf("%w\n%s", err, said)
	}
	return nil
}
