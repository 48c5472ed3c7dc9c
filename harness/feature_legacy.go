package harness

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// legacyTools are the programs of x_tables.
var legacyTools = []string{"iptables-legacy", "ip6tables-legacy"}

// checkLegacy lists the tables of one of legacyTools in a namespace that ends with the trial.
func checkLegacy(name string) error {
	path, err := tool(name, "iptables")
	if err != nil {
		return err
	}
	return inTrial(func(*netlink.Handle, int) error {
		cmd := exec.Command(path, "-S")
		cmd.Env = append(cmd.Environ(), "XTABLES_LOCKFILE="+lockFile)
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if out, err := cmd.CombinedOutput(); err != nil {
			return missing{(&textError{name, out, err}).Error()}
		}
		return nil
	})
}

// tablesHint is what to do where a loader says that the kernel lacks its tables, and the
// kernel has none of the family: files are inspect.LegacyFiles.
func tablesHint(loader, said string, files []string) string {
	if !strings.Contains(said, "initialize") {
		return ""
	}
	file, module := files[0], "ip_tables"
	if strings.HasPrefix(loader, "ip6") {
		file, module = files[1], "ip6_tables"
	}
	if _, err := os.Stat(file); err == nil {
		return ""
	}
	return fmt.Sprintf(": the kernel loads these tables for root alone: modprobe %s", module)
}
