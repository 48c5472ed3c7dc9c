package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaiting is the word of a child whose ids are not mapped yet: "awaiting 5"
// waits for descriptor 5 to be closed at the other end.
const awaiting = "awaiting"

func init() {
	var fd int
	if _, err := fmt.Sscanf(os.Getenv(sandboxVar), awaiting+" %d", &fd); err == nil {
		awaitMapping(fd)
	}
}

// awaitMapping becomes the tests when the ids are mapped. Until then this is a
// process of nobody, and one that is executed as nobody has no capability left
// but its ambient ones; executed as root it has them all.
func awaitMapping(fd int) {
	if n, err := unix.Read(fd, make([]byte, 1)); n != 1 {
		fmt.Fprintln(os.Stderr, "nstest: wait for the ids to be mapped:", err)
		os.Exit(1)
	}
	_ = unix.Close(fd)
	_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	_ = os.Setenv(sandboxVar, inside)
	err := syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	fmt.Fprintln(os.Stderr, "nstest: enter the sandbox:", err)
	os.Exit(1)
}

var errNoRange = errors.New("no further ids may be mapped")

// startMapped starts the child with the ids that newuidmap(1) and newgidmap(1)
// may map besides the user's own. An error leaves nothing behind: then the user's
// own id has to do.
func startMapped() (*exec.Cmd, error) {
	uids, gids := idRange("/etc/subuid", os.Getuid()), idRange("/etc/subgid", os.Getuid())
	if uids.count == 0 || gids.count == 0 {
		return nil, errNoRange
	}
	end, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer end.Close()
	cmd := again(fmt.Sprintf("%s %d", awaiting, 3+len(inherited())))
	cmd.ExtraFiles = append(cmd.ExtraFiles, end)
	for capability := range uintptr(64) {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, capability, 0, 0, 0); err == nil { // it exists
			cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, capability)
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	err = errors.Join(
		uids.mapTo("newuidmap", cmd.Process.Pid, os.Getuid()),
		gids.mapTo("newgidmap", cmd.Process.Pid, os.Getgid()))
	if err == nil {
		_, err = ours.Write([]byte{1})
	}
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	return cmd, nil
}

// span is a row of ids of the machine.
type span struct{ first, count int }

// mapTo maps the user's own id to 0 of the process's user namespace, and the
// span to those from 1 on.
func (s span) mapTo(program string, pid, own int) error {
	path, err := tool(program, "uidmap")
	if err != nil {
		return err
	}
	var args []string
	for _, n := range []int{pid, 0, own, 1, 1, s.first, s.count} {
		args = append(args, strconv.Itoa(n))
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	return at(err, "%s: %s", program, strings.TrimSpace(string(out)))
}

// idRange is the first span that a file like subuid(5) grants a user, by name or
// number.
func idRange(file string, uid int) span {
	names := []string{strconv.Itoa(uid)}
	if u, err := user.LookupId(names[0]); err == nil {
		names = append(names, u.Username)
	}
	text, _ := os.ReadFile(file)
	for line := range strings.Lines(string(text)) {
		for _, name := range names {
			if s, ok := parseSpan(line, name); ok {
				return s
			}
		}
	}
	return span{}
}

// parseSpan reads "name:first:count".
func parseSpan(line, name string) (span, bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":")
	if !ok {
		return span{}, false
	}
	first, count, _ := strings.Cut(rest, ":")
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(count)
	return span{a, b}, err1 == nil && err2 == nil && b > 0
}

// mappedUsers is how many users there are in this process's user namespace
// (user_namespaces(7)).
func mappedUsers() (users int) {
	text, _ := os.ReadFile("/proc/self/uid_map")
	for line := range strings.Lines(string(text)) {
		var first, outer, count int
		if _, err := fmt.Sscan(line, &first, &outer, &count); err == nil {
			users += count
		}
	}
	return users
}
