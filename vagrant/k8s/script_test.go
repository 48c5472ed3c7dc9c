package k8s

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// suite stands for a test binary: it writes a report where it is told, and ends with a
// status.
const suite = `#!/bin/sh
for arg; do case $arg in -ginkgo.json-report=*) echo "report of $(basename "$0")" > "${arg#*=}" ;; esac; done
exit %d
`

// kubectl stands for that program, with a log for each pod.
const kubectl = `#!/bin/sh
dir=$(dirname "$0")
case "$*" in
"get pods --selector batch.kubernetes.io/job-name=nstest --output name") cd "$dir" && for log in *.log; do echo "pod/${log%.log}"; done ;;
logs\ pod/*) cat "$dir/${2#pod/}.log" ;;
*) echo "kubectl $*?" >&2; exit 1 ;;
esac
`

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// podLog is what run prints beside suites that end so, and its status.
func podLog(t *testing.T, statuses ...int) (log string, status int) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "run"), manifest(t, "run"))
	for i, status := range statuses {
		write(t, filepath.Join(dir, fmt.Sprintf("suite%d.test", i)), fmt.Sprintf(suite, status))
	}
	cmd := exec.Command(filepath.Join(dir, "run"), filepath.Join(dir, "results"))
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// collected are the reports that collect makes of the pods' logs.
func collected(t *testing.T, logs map[string]string) (reports map[string]string, out string, ok bool) {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(bin, "kubectl"), kubectl)
	for pod, log := range logs {
		write(t, filepath.Join(bin, pod+".log"), log)
	}
	cmd := exec.Command("./collect", "nstest", dir)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	said, err := cmd.CombinedOutput()
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*"))
	reports = map[string]string{}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		name, _ := filepath.Rel(dir, file)
		reports[name] = string(text)
	}
	return reports, string(said), err == nil
}

func TestReportsComeOutOfTheLogs(t *testing.T) {
	good, status := podLog(t, 0, 0)
	if status != 0 {
		t.Errorf("status %d:\n%s", status, good)
	}
	bad, status := podLog(t, 1, 0)
	if status != 1 {
		t.Errorf("a suite failed, and the status is %d:\n%s", status, bad)
	}
	reports, out, ok := collected(t, map[string]string{"nstest-0-a": good, "nstest-1-b": bad})
	want := map[string]string{
		"nstest-0-a/suite0.json": "report of suite0.test\n", "nstest-0-a/suite1.json": "report of suite1.test\n",
		"nstest-1-b/suite0.json": "report of suite0.test\n", "nstest-1-b/suite1.json": "report of suite1.test\n",
	}
	if !ok || fmt.Sprint(reports) != fmt.Sprint(want) {
		t.Errorf("%v, %q, want %q:\n%s", ok, reports, want, out)
	}
}

// A pod without a whole report is told, and the others' are there.
func TestLogsThatWereCut(t *testing.T) {
	log, _ := podLog(t, 0)
	_, body, _ := strings.Cut(log, "-----BEGIN REPORTS-----\n")
	for name, cut := range map[string]string{"early": "== suite0 ==\n", "half": log[:len(log)-len(body)/2]} {
		reports, out, ok := collected(t, map[string]string{"pod0": cut, "pod1": log})
		if ok || !strings.Contains(out, "collect: pod/pod0: no report is in its log, or half of one") {
			t.Errorf("%s: %v:\n%s", name, ok, out)
		}
		if reports["pod1/suite0.json"] == "" {
			t.Errorf("%s: the other's report is lost: %q", name, reports)
		}
	}
}

func TestNoPods(t *testing.T) {
	for _, program := range []string{"#!/bin/sh\nexit 1\n", "#!/bin/sh\n"} {
		cmd, bin := exec.Command("./collect", "nstest", t.TempDir()), t.TempDir()
		write(t, filepath.Join(bin, "kubectl"), program)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("there are no pods, and collect succeeds:\n%s", out)
		}
	}
}
