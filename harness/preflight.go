package harness

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/nstest/nstest/topo"
	"golang.org/x/sys/unix"
)

// needs is what a lab will take.
type needs struct {
	namespaces, descriptors, threads int
}

// limits is what the machine and this process have; -1 is no limit.
type limits struct {
	namespaces          int // user.max_net_namespaces
	descriptors, open   int // RLIMIT_NOFILE, and how many are in use
	processes           int // RLIMIT_NPROC
	cgroup, cgroupInUse int // pids.max, pids.current
	threadsMax          int // kernel.threads-max
	ownThreads          int
	rootID              bool // uid 0 of the machine
}

// spare is how many descriptors and threads a lab leaves for the test itself:
// the sockets of its probes, the runtime's own threads.
const spare = 32

// needsOf counts: a namespace and a netlink descriptor per node and for the
// fabric, a thread per node at most for Do, and the builders.
func needsOf(plan *topo.Plan) needs {
	namespaces := len(plan.Nodes)
	for _, segment := range plan.Segments {
		if segment.Kind.IsSwitch() {
			namespaces++
			break
		}
	}
	return needs{namespaces, 2*namespaces + spare, builders + spare}
}

// preflight says before anything is built what the machine lacks for the plan.
func preflight(plan *topo.Plan) error {
	if !privileged() {
		return errors.New(noPrivilege())
	}
	inherits()
	if err := needsOf(plan).check(readLimits()); err != nil {
		return err
	}
	return lacksOVS(plan)
}

// check is every shortage at once, each with what to raise.
func (n needs) check(have limits) error {
	var short []error
	report := func(what string, need, limit, used int, raise string) {
		if limit >= 0 && need+used > limit {
			short = append(short, fmt.Errorf("the lab needs %d %s, and %d of at most %d are in use: %s", need, what, used, limit, raise))
		}
	}
	report("network namespaces", n.namespaces, have.namespaces, 0, "raise sysctl user.max_net_namespaces")
	report("descriptors", n.descriptors, have.descriptors, have.open, "raise ulimit -n")
	if !have.rootID { // root is not held to it (setrlimit(2))
		report("threads", n.threads, have.processes, have.ownThreads, "raise ulimit -u")
	}
	report("threads", n.threads, have.cgroup, have.cgroupInUse, "raise pids.max of the control group (docker run --pids-limit)")
	report("threads", n.threads, have.threadsMax, have.ownThreads, "raise sysctl kernel.threads-max")
	return errors.Join(short...)
}

func readLimits() limits {
	have := limits{
		namespaces:  maxNamespaces.number(),
		descriptors: rlimit(unix.RLIMIT_NOFILE),
		processes:   rlimit(unix.RLIMIT_NPROC),
		threadsMax:  maxThreads.number(),
		open:        openDescriptors(),
		ownThreads:  ownThreads(),
		rootID:      os.Getuid() == 0 && !Rootless(),
	}
	have.cgroup, have.cgroupInUse = cgroupPids()
	return have
}

func rlimit(resource int) int {
	var limit unix.Rlimit
	if unix.Getrlimit(resource, &limit) != nil || limit.Cur > 1<<31 {
		return -1
	}
	return int(limit.Cur)
}

// readNumber is the number in a file, or -1.
func readNumber(path string) int { return numberIn(slurp(path)) }

// numberIn is the number that a file of the kernel's holds, or -1.
func numberIn(text string) int {
	number, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return -1 // "max", or there is no such file
	}
	return number
}

// slurp is the beginning of a file, "" when there is none. A small lab is built
// in two milliseconds, of which os.ReadFile, which offers every file to the
// runtime's poller, would take a quarter.
func slurp(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	var buf [1024]byte
	n, _ := unix.Read(fd, buf[:])
	return string(buf[:max(0, n)])
}

// openDescriptors is how many descriptors this process has open: the size of
// its directory since Linux 6.2, which was zero before (proc_fd_getattr).
func openDescriptors() int {
	var stat unix.Stat_t
	if unix.Stat("/proc/self/fd", &stat) == nil && stat.Size > 0 {
		return int(stat.Size)
	}
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

// ownThreads is how many threads this process has: each is a link of the
// directory, besides its own two (proc_task_getattr).
func ownThreads() int {
	var stat unix.Stat_t
	if unix.Stat("/proc/self/task", &stat) != nil {
		return 0
	}
	return int(stat.Nlink) - 2
}

// cgroupPids is the limit and use of the process's own control group, v2 or v1.
func cgroupPids() (limit, used int) {
	for _, dir := range pidsDirs() {
		if limit := readNumber(dir + "/pids.max"); limit >= 0 {
			return limit, max(readNumber(dir+"/pids.current"), 0)
		}
	}
	return -1, 0
}

// pidsDirs are where the limit may be. Nobody moves a process while its tests run.
var pidsDirs = sync.OnceValue(func() (dirs []string) {
	for line := range strings.Lines(slurp("/proc/self/cgroup")) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) != 3 {
			continue
		}
		dir := "/sys/fs/cgroup" + part[2]
		if part[1] == "pids" {
			dir = "/sys/fs/cgroup/pids" + part[2]
		} else if part[1] != "" {
			continue
		}
		if _, err := os.Stat(dir + "/pids.max"); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
})

// kept is a file of the kernel's that is read for every lab: it is opened once, which
// takes most of the time.
type kept struct {
	path string
	open sync.Once
	fd   int
}

// number is the number in it now, or -1.
func (k *kept) number() int {
	k.open.Do(func() {
		var err error
		if k.fd, err = unix.Open(k.path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			k.fd = -1
		}
	})
	var buf [32]byte
	n, _ := unix.Pread(k.fd, buf[:], 0)
	return numberIn(string(buf[:max(0, n)]))
}

var (
	maxNamespaces = &kept{path: "/proc/sys/user/max_net_namespaces"}
	maxThreads    = &kept{path: "/proc/sys/kernel/threads-max"}
)
