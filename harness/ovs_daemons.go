package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/nstest/nstest/topo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ovsPackage is the Debian package of Open vSwitch.
const ovsPackage = "openvswitch-switch"

// ovsFiles is where an Open vSwitch lies.
type ovsFiles struct {
	root string // of the unpacked package; "" for the machine's own
}

// findOVS finds Open vSwitch, unpacked in the cache or the machine's.
func findOVS() (ovsFiles, error) {
	root, err := PackageRoot(ovsPackage)
	if err == nil && isDir(root) {
		return ovsFiles{root}, nil
	}
	if _, err := (ovsFiles{}).program("ovs-vswitchd"); err == nil {
		return ovsFiles{}, nil
	}
	return ovsFiles{}, missing{fmt.Sprintf("Open vSwitch is neither unpacked nor on this machine: .ci/unpack %s, or apt-get install %s", ovsPackage, ovsPackage)}
}

// program is the path of one of its programs.
func (f ovsFiles) program(name string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/lib/openvswitch-switch"} {
		path := filepath.Join(f.root, dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", missing{fmt.Sprintf("%s is not here: apt-get install %s", name, ovsPackage)}
}

// lacksOVS says what a plan with Open vSwitches lacks.
func lacksOVS(plan *topo.Plan) error {
	for _, s := range plan.Segments {
		if s.Kind == topo.KindOVS {
			_, err := findOVS()
			return at(err, "segment %s", s.Name)
		}
	}
	return nil
}

// ovsRun is where the daemons have their sockets, database and logs: on the /run of a
// machine of their own, which nobody else sees.
const ovsRun = "/run/openvswitch"

// ovsDaemons are an ovsdb-server and an ovs-vswitchd where a lab's switches are. They have
// a lab to themselves, of one machine that stands in the fabric's namespace and is no node
// of anybody's: so its processes end as a node's do.
type ovsDaemons struct {
	files    ovsFiles
	machine  *Node
	datapath string
	started  chan struct{} // closed when they run, or failed to
	err      error
}

// startOVS begins to start the daemons, if the plan has an Open vSwitch: makeOVS waits for
// that.
func (s *site) startOVS() error {
	if !s.hasOVS() {
		return nil
	}
	files, err := findOVS()
	if err != nil {
		return err
	}
	plan := &topo.Plan{Name: s.plan.Name, Nodes: []topo.NodePlan{{Name: "openvswitch"}}}
	of := &layout{plan: plan, byName: map[string]*Node{}}
	lab := newLab(of)
	o := &ovsDaemons{files: files, machine: newNode(lab, &plan.Nodes[0], s.fabric), started: make(chan struct{})}
	of.nodes = []*Node{o.machine}
	s.ovs = o
	go func() {
		defer close(o.started)
		o.err = at(o.start(), "start Open vSwitch")
	}()
	return nil
}

func (s *site) hasOVS() bool {
	for i := range s.plan.Segments {
		if s.plan.Segments[i].Kind == topo.KindOVS {
			return true
		}
	}
	return false
}

// start starts the daemons, each of which says when it is ready by going into the background.
func (o *ovsDaemons) start() error {
	if err := o.machine.launch(func() error { return os.Mkdir(ovsRun, 0o755) }); err != nil {
		return err
	}
	o.datapath = o.machine.datapath()
	const database = ovsRun + "/conf.db"
	schema := filepath.Join("/", o.files.root, "usr/share/openvswitch/vswitch.ovsschema")
	if _, err := o.run("ovsdb-tool", "create", database, schema); err != nil {
		return err
	}
	daemon := func(name string) []string {
		return []string{
			"--detach", "--no-chdir", "-vconsole:warn", "-vsyslog:off", "--pidfile=" + ovsRun + "/" + name + ".pid",
			"--unixctl=" + ovsRun + "/" + name + ".ctl", "--log-file=" + ovsRun + "/" + name + ".log",
		}
	}
	if _, err := o.run("ovsdb-server", append(daemon("ovsdb-server"), "--remote=punix:"+ovsRun+"/db.sock", database)...); err != nil {
		return err
	}
	// Without this it waits for the first transaction before it does anything. What it asks the
	// kernel of interfaces waits for the rtnl lock, and frames that pass it wait as well.
	const rarely = "3600000" // milliseconds
	if _, err := o.run("ovs-vsctl", "--no-wait", "--", "init", "--", "set", "Open_vSwitch", ".", "other_config:n-handler-threads=1", "other_config:n-revalidator-threads=1",
		"other_config:stats-update-interval="+rarely); err != nil {
		return err
	}
	_, err := o.run("ovs-vswitchd", append(daemon("ovs-vswitchd"), "--enable-dummy", "unix:"+ovsRun+"/db.sock")...)
	return err
}

// datapath is the kernel's where it has Open vSwitch's module, else that of ovs-vswitchd
// itself, which needs /dev/net/tun for an interface of the switch's own; else the one of its
// own tests, which makes none.
func (n *Node) datapath() string {
	if err := n.Do(func() error { _, err := netlink.GenlFamilyGet("ovs_datapath"); return err }); err == nil {
		return "system"
	}
	file, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return "dummy"
	}
	_ = file.Close()
	return "netdev"
}

// run runs one of the programs and returns what it printed.
func (o *ovsDaemons) run(program string, args ...string) (string, error) {
	if o == nil {
		return "", errAbsent
	}
	path, err := o.files.program(program)
	if err != nil {
		return "", err
	}
	cmd := o.machine.Command(path, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+ovsRun, "OVS_LOGDIR="+ovsRun, "OVS_DBDIR="+ovsRun, "OVS_SYSCONFDIR="+ovsRun)
	if o.files.root != "" {
		libraries, _ := filepath.Glob(filepath.Join(o.files.root, "usr/lib/*-linux-*"))
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+strings.Join(libraries, ":"), "OVS_PKGDATADIR="+filepath.Join(o.files.root, "usr/share/openvswitch"))
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.New(text)
		}
		return out.String(), at(err, "%s %s", program, strings.Join(args, " "))
	}
	return out.String(), nil
}

// close ends the daemons, and all that they left.
func (o *ovsDaemons) close() {
	if o == nil {
		return
	}
	<-o.started
	o.machine.lab.commands.close()
	o.machine.mu.Lock()
	launcher := o.machine.launcher
	o.machine.launcher = nil
	o.machine.mu.Unlock()
	if launcher != nil {
		launcher.close()
	}
	o.machine.own.close() // the namespace is the fabric's
}

// log writes what the daemons have said.
func (o *ovsDaemons) log(w io.Writer) error {
	return o.machine.launch(func() error {
		for _, name := range []string{"ovsdb-server", "ovs-vswitchd"} {
			text, err := os.ReadFile(ovsRun + "/" + name + ".log")
			if err != nil {
				return pathless(err)
			}
			if _, err := fmt.Fprintf(w, "# %s\n%s\n", name, text); err != nil {
				return err
			}
		}
		return nil
	})
}

// ask gives ovs-vswitchd a command, as ovs-appctl(8) does: by a request of JSON-RPC.
func (o *ovsDaemons) ask(command string, args ...string) (string, error) {
	if o == nil {
		return "", errAbsent
	}
	fd := -1
	err := o.machine.launch(func() (err error) { // whose /run it is
		if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Connect(fd, &unix.SockaddrUnix{Name: ovsRun + "/ovs-vswitchd.ctl"})
	})
	if fd >= 0 {
		defer unix.Close(fd)
	}
	if err != nil {
		return "", at(err, "connect to ovs-vswitchd")
	}
	return unixctl(fd, command, args)
}
