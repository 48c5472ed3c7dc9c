package harness

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who may not load the module of the tables is told which one it is, and only where it is not there.
func TestTablesHint(t *testing.T) {
	t.Parallel()
	const lacking = "modprobe: ERROR: could not insert 'ip_tables': Operation not permitted\n" +
		"iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'filter'\n" +
		"Error occurred at line: 1"
	there, gone := filepath.Join(t.TempDir(), "there"), filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		loader, said string
		files        []string
		want         string
	}{
		"IPv4":                {"iptables-legacy-restore", lacking, []string{gone, there}, "modprobe ip_tables"},
		"IPv6":                {"ip6tables-restore", lacking, []string{there, gone}, "modprobe ip6_tables"},
		"the family is there": {"iptables-legacy", lacking, []string{there, gone}, ""},
		"another mistake":     {"iptables-legacy", "line 2 failed", []string{gone, gone}, ""},
	} {
		if got := tablesHint(row.loader, row.said, row.files); (got == "") != (row.want == "") || !strings.HasSuffix(got, row.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A program that is not there is told as any other tool.
func TestLegacyToolThatIsNotHere(t *testing.T) {
	t.Parallel()
	if err := checkLegacy("no-such-legacy"); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "apt-get install iptables") {
		t.Error(err)
	}
}
