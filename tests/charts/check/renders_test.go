// The golden renders against Kubernetes' own types: no field that they do not have, and the promises of the charts.
package charts

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

type document struct {
	render, kind, name, text string
}

func documents(t *testing.T) []document {
	t.Helper()
	paths, _ := filepath.Glob("../golden/*.yaml")
	if len(paths) < 4 {
		t.Fatalf("%d golden renders", len(paths))
	}
	var all []document
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split("\n"+string(text), "\n---\n") {
			var head struct {
				Kind     string `json:"kind"`
				Metadata struct {
					Name string `json:"name"`
				} `json:"metadata"`
			}
			if err := yaml.Unmarshal([]byte(part), &head); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if head.Kind != "" {
				all = append(all, document{filepath.Base(path), head.Kind, head.Metadata.Name, part})
			}
		}
	}
	return all
}

func strict[T any](t *testing.T, d document) T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(d.text), &object); err != nil {
		t.Errorf("%s: %s %s: %v", d.render, d.kind, d.name, err)
	}
	return object
}

func TestRendersHaveOnlyFieldsThatKubernetesKnows(t *testing.T) {
	for _, d := range documents(t) {
		switch d.kind {
		case "Deployment":
			restricted(t, d, strict[apps.Deployment](t, d).Spec.Template.Spec)
		case "Pod":
			restricted(t, d, strict[core.Pod](t, d).Spec)
		case "Service":
			strict[core.Service](t, d)
		case "ServiceAccount":
			strict[core.ServiceAccount](t, d)
		case "ConfigMap":
			strict[core.ConfigMap](t, d)
		case "PodDisruptionBudget":
			strict[policy.PodDisruptionBudget](t, d)
		case "NetworkPolicy":
			strict[networking.NetworkPolicy](t, d)
		case "Role":
			rules(t, d, strict[rbac.Role](t, d).Rules)
		case "ClusterRole":
			rules(t, d, strict[rbac.ClusterRole](t, d).Rules)
		case "RoleBinding":
			strict[rbac.RoleBinding](t, d)
		case "ClusterRoleBinding":
			strict[rbac.ClusterRoleBinding](t, d)
		case "ValidatingAdmissionPolicy":
			strict[admission.ValidatingAdmissionPolicy](t, d)
		case "ValidatingAdmissionPolicyBinding":
			strict[admission.ValidatingAdmissionPolicyBinding](t, d)
		case "ServiceMonitor", "PrometheusRule": // of the Prometheus operator; rules are read in promql_test.go
		default:
			t.Errorf("%s: nobody checks the kind %s", d.render, d.kind)
		}
	}
}

// Pod Security's level `restricted`, and a root that cannot be written.
func restricted(t *testing.T, d document, pod core.PodSpec) {
	t.Helper()
	context := pod.SecurityContext
	ok := context != nil && *context.RunAsNonRoot && context.SeccompProfile.Type == core.SeccompProfileTypeRuntimeDefault
	for _, container := range pod.Containers {
		c := container.SecurityContext
		ok = ok && c != nil && !*c.AllowPrivilegeEscalation && *c.ReadOnlyRootFilesystem && slices.Equal(c.Capabilities.Drop, []core.Capability{"ALL"})
	}
	if !ok {
		t.Errorf("%s: the pod of %s %s is not restricted", d.render, d.kind, d.name)
	}
}

// Nobody gets a wildcard, and the operator reads and writes no Secret but its CA.
func rules(t *testing.T, d document, rules []rbac.PolicyRule) {
	t.Helper()
	for _, rule := range rules {
		words := slices.Concat(rule.Verbs, rule.Resources, rule.APIGroups)
		if slices.Contains(words, "*") {
			t.Errorf("%s: %s %s has a wildcard", d.render, d.kind, d.name)
		}
		if slices.Contains(rule.Resources, "secrets") && !slices.Equal(rule.ResourceNames, []string{"agoge-ca"}) && !slices.Equal(rule.Verbs, []string{"create"}) {
			t.Errorf("%s: %s %s reaches Secrets other than agoge-ca", d.render, d.kind, d.name)
		}
	}
	if d.render == "namespaced.yaml" && d.kind == "ClusterRole" && (len(rules) != 1 || !slices.Equal(rules[0].Resources, []string{"tokenreviews"})) {
		t.Errorf("namespaced: ClusterRole %s grants more than token reviews", d.name)
	}
}
