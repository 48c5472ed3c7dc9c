package main

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/nstest/nstest/vagrant/internal/cache"
	"github.com/nstest/nstest/vagrant/internal/debian"
	"github.com/nstest/nstest/vagrant/internal/host"
	"golang.org/x/sys/unix"
)

const release = "bookworm"

// packages are what a Vagrant machine wants, a kernel, and what the suites use.
const packages = "systemd-sysv,udev,dbus,kmod,procps,iproute2,ifupdown,isc-dhcp-client,openssh-server,sudo,rsync," +
	"linux-image-cloud-amd64,nftables,iptables,uidmap"

var (
	//go:embed files/customize
	customize string
	//go:embed files/syslinux.cfg
	syslinux string
	//go:embed files/Vagrantfile
	vagrantfile string
)

// needed are the programs that a box and a run want, and their packages.
var needed = map[string]string{
	"mmdebstrap": "mmdebstrap", "sfdisk": "fdisk", "mkfs.vfat": "dosfstools", "mcopy": "mtools", "syslinux": "syslinux",
	"mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "qemu-system-x86_64": "qemu-system-x86", "libvirtd": "libvirt-daemon",
	"virsh": "libvirt-clients", "dnsmasq": "dnsmasq-base", "vagrant": "vagrant", "rsync": "rsync", "ssh": "openssh-client",
}

// programs says all that is missing at once.
func programs() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the box is for amd64, and this is %s", runtime.GOARCH)
	}
	var missing []string
	for program, of := range needed {
		if _, err := host.Program(program); err != nil {
			missing = append(missing, of)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing; apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}

// recipe names all that the box is made of, but for the packages' versions.
func recipe() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{release, packages, customize, syslinux, vagrantfile, table()}, "\x00")))
	return hex.EncodeToString(sum[:6])
}

// fetch is the box out of the cache, where it is built when that has none of this
// recipe.
func fetch(ctx context.Context, scratch string, update bool) (string, error) {
	unlock, err := cache.Lock("box")
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := cache.Dir("box")
	if err != nil {
		return "", err
	}
	box := filepath.Join(dir, release+"-"+recipe()+".box")
	if _, err := os.Stat(box); err == nil && !update {
		return box, nil
	}
	fmt.Fprintf(os.Stderr, "box: building one of %s\n", release)
	made := filepath.Join(scratch, "made.box")
	code, err := status(ctx, within(ctx, 0, stageBuild, scratch, made).Run())
	if err == nil && code != 0 {
		err = errors.New("build it: see above") // the stage has said why
	}
	if err != nil {
		return "", err
	}
	others, err := filepath.Glob(filepath.Join(dir, "*.box"))
	for _, other := range others {
		err = errors.Join(err, os.Remove(other))
	}
	return box, errors.Join(err, os.Rename(made, box))
}

// build is the stage that makes a box.
func build(scratch, box string) error {
	root := filepath.Join(scratch, "root")
	if err := makeRoot(scratch, root); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if err := makeDisk(scratch, root); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	// What a box is: vagrant-libvirt's README, "Create Box".
	meta := fmt.Sprintf(`{"provider":"libvirt","format":"qcow2","virtual_size":%d}`+"\n", diskSize>>10)
	if err := writeFiles(scratch, map[string]string{"metadata.json": meta, "Vagrantfile": vagrantfile}); err != nil {
		return err
	}
	return host.Run("tar", "-C", scratch, "-czf", box, "metadata.json", "Vagrantfile", diskImage)
}

// makeRoot lets mmdebstrap install a Debian from the machine's mirrors.
func makeRoot(scratch, root string) error {
	sources, err := debian.Sources(release)
	if err != nil {
		return err
	}
	acquire, err := debian.Acquire()
	if err != nil {
		return err
	}
	key, err := publicKey()
	if err != nil {
		return err
	}
	if err := writeFiles(scratch, map[string]string{"sources.list": sources, "acquire.conf": acquire, "key": key}); err != nil {
		return err
	}
	hook := filepath.Join(scratch, "customize")
	if err := os.WriteFile(hook, []byte(customize), 0o755); err != nil {
		return err
	}
	cmd := host.Command("mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--architectures=amd64", "--include="+packages,
		"--aptopt="+filepath.Join(scratch, "acquire.conf"), `--aptopt=APT::Install-Recommends "false"`,
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
		"--customize-hook="+hook, release, root, filepath.Join(scratch, "sources.list"))
	cmd.Env = append(os.Environ(), "TMPDIR="+scratch, "LC_ALL=C")
	_, err = host.OutputOf(cmd)
	return err
}

// publicKey is the key that every new Vagrant machine lets in, until Vagrant has
// replaced it at the first boot.
func publicKey() (string, error) {
	for _, pattern := range []string{"/usr/share/rubygems-integration/all/gems/vagrant-*/keys/vagrant.pub", "/opt/vagrant/embedded/gems/gems/vagrant-*/keys/vagrant.pub"} {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			text, err := os.ReadFile(found[len(found)-1])
			return string(text), err
		}
	}
	return "", fmt.Errorf("vagrant's keys/vagrant.pub: %w", unix.ENOENT)
}

func writeFiles(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
