// Package k8s has no code. Its tests hold the manifests to the types that the schema
// of Kubernetes is made from, and run the scripts.
package k8s

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// decode decodes as strictly as the API server.
func decode(text string) (job batchv1.Job, err error) {
	asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		return job, err
	}
	strict, err := json.UnmarshalStrict(asJSON, &job)
	return job, errors.Join(append(strict, err)...)
}

// check says what is wrong with a manifest: what the schema does not have, or what
// keeps the Job from running each shard once.
func check(text string) (wrong []string) {
	job, err := decode(text)
	if err != nil {
		return []string{err.Error()}
	}
	pod := job.Spec.Template.Spec
	if job.APIVersion != "batch/v1" || job.Kind != "Job" || len(pod.Containers) != 1 || len(pod.Volumes) != 1 {
		return []string{"it is no batch/v1 Job with one container and one volume"}
	}
	c := pod.Containers[0]
	env := map[string]string{}
	for _, e := range c.Env {
		env[e.Name] = e.Value
	}
	for what, ok := range map[string]bool{
		"name":                 job.Name != "",
		"completionMode":       is(job.Spec.CompletionMode, batchv1.IndexedCompletion),
		"completions":          is(job.Spec.Completions, 5) && env["NSTEST_SHARD"] == "/5",
		"parallelism":          is(job.Spec.Parallelism, 5),
		"backoffLimitPerIndex": is(job.Spec.BackoffLimitPerIndex, 0),
		"restartPolicy":        pod.RestartPolicy == corev1.RestartPolicyNever,
		"image":                c.Image != "" && c.ImagePullPolicy == corev1.PullIfNotPresent,
		"resources":            !c.Resources.Requests.Cpu().IsZero() && !c.Resources.Limits.Memory().IsZero(),
		"volumes":              fmt.Sprint(c.VolumeMounts) == fmt.Sprint([]corev1.VolumeMount{{Name: pod.Volumes[0].Name, MountPath: "/results"}}),
		"privilege":            privileged(c) != rootless(pod, c),
	} {
		if !ok {
			wrong = append(wrong, what)
		}
	}
	return wrong
}

func privileged(c corev1.Container) bool {
	return c.SecurityContext != nil && is(c.SecurityContext.Privileged, true)
}

// rootless holds when the container has no power, and nothing keeps it from making a
// sandbox: without any of these a run in a container failed.
func rootless(pod corev1.PodSpec, c corev1.Container) bool {
	p, s := pod.SecurityContext, c.SecurityContext
	return p != nil && s != nil && s.Capabilities != nil && p.SeccompProfile != nil && p.AppArmorProfile != nil &&
		is(p.RunAsNonRoot, true) && p.RunAsUser != nil && *p.RunAsUser > 0 && is(p.FSGroup, *p.RunAsUser) &&
		is(s.AllowPrivilegeEscalation, false) && fmt.Sprint(s.Capabilities.Drop, s.Capabilities.Add) == "[ALL] []" &&
		is(pod.HostUsers, false) && is(s.ProcMount, corev1.UnmaskedProcMount) &&
		p.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined && p.AppArmorProfile.Type == corev1.AppArmorProfileTypeUnconfined
}

// is says whether an optional field is there and has the value.
func is[T comparable](field *T, value T) bool { return field != nil && *field == value }

func manifest(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManifestsAreIndexedJobs(t *testing.T) {
	for _, name := range []string{"privileged.yaml", "rootless.yaml"} {
		if wrong := check(manifest(t, name)); wrong != nil {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}

// What is wrong with a manifest is found: each change is one mistake.
func TestMistakesAreFound(t *testing.T) {
	const both = "privileged.yaml rootless.yaml"
	for _, row := range []struct{ files, from, to, wrong string }{
		{both, "completionMode:", "completionmode:", `unknown field "spec.completionmode"`},
		{both, "      restartPolicy:", "      restart:", `unknown field "spec.template.spec.restart"`},
		{both, "imagePullPolicy:", "pull:", `unknown field "spec.template.spec.containers[0].pull"`},
		{both, "completions: 5", "completions: five", "cannot unmarshal string"},
		{both, `value: "1"`, "value: 1", "cannot unmarshal number"},
		{both, "  parallelism: 5\n", "  parallelism: 5\n  parallelism: 4\n", "already set in map"},
		{both, "memory: 2Gi", "memory: 2GiB", "quantities must match"},
		{both, "batch/v1", "batch/v2", "it is no batch/v1 Job"},
		{both, "Indexed", "NonIndexed", "completionMode"},
		{both, "value: /5", "value: /4", "completions"},
		{both, "completions: 5", "completions: 6", "completions"},
		{both, "backoffLimitPerIndex: 0", "backoffLimitPerIndex: 1", "backoffLimitPerIndex"},
		{both, "Never", "OnFailure", "restartPolicy"},
		{both, "mountPath: /results", "mountPath: /reports", "volumes"},
		{"privileged.yaml", "privileged: true", "privileged: false", "privilege"},
		{"rootless.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "privilege"},
		{"rootless.yaml", "runAsUser: 1000", "runAsUser: 0", "privilege"},
		{"rootless.yaml", "drop: [ALL]", "drop: [CHOWN]", "privilege"},
		{"rootless.yaml", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "privilege"},
		{"rootless.yaml", "hostUsers: false", "hostUsers: true", "privilege"},
		{"rootless.yaml", "procMount: Unmasked", "procMount: Default", "privilege"},
		{"rootless.yaml", "seccompProfile: { type: Unconfined }", "seccompProfile: { type: RuntimeDefault }", "privilege"},
		{"rootless.yaml", "appArmorProfile: { type: Unconfined }", "appArmorProfile: { type: RuntimeDefault }", "privilege"},
	} {
		for _, name := range strings.Fields(row.files) {
			text := manifest(t, name)
			broken := strings.Replace(text, row.from, row.to, 1)
			if broken == text {
				t.Errorf("%s: there is no %q", name, row.from)
			}
			if wrong := strings.Join(check(broken), "\n"); !strings.Contains(wrong, row.wrong) {
				t.Errorf("%s with %q: %q, want %q", name, row.to, wrong, row.wrong)
			}
		}
	}
}
