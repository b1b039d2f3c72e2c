// What Argo CD and Flux make of the statuses in ../status, which operator/plan/tests/recorded_statuses.rs records.
package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const argo = "../../../examples/gitops/argocd/argocd-cm.yaml"

// By state of a recording: kstatus' word, Argo CD's word, and how Argo CD's message begins.
var expected = map[string][3]string{
	"unseen":      {"InProgress", "Progressing", "not looked at yet"},
	"waiting":     {"InProgress", "Progressing", "Waiting ("},
	"bringing-up": {"InProgress", "Progressing", "Pending ("},
	"blocked":     {"InProgress", "Progressing", "Pending ("},
	"running":     {"Current", "Healthy", "Running ("},
	"stopping":    {"Current", "Healthy", "Running ("},
	"retrying":    {"Current", "Healthy", "Retrying ("},
	"suspended":   {"Current", "Suspended", "Suspended ("},
	"complete":    {"Current", "Healthy", "Complete ("},
	"failed":      {"Failed", "Degraded", "Failed ("},
}

// The health check of one kind, run as Argo CD runs it: the object as the global `obj`, without file or process access.
func health(t *testing.T, script string, object map[string]any) (string, string) {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatalf("the script fails: %v", err)
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatal("the script returns no table")
	}
	return lua.LVAsString(answer.RawGetString("status")), lua.LVAsString(answer.RawGetString("message"))
}

func value(state *lua.LState, any_ any) lua.LValue {
	switch v := any_.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range v {
			table.RawSetString(key, value(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range v {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	}
	return lua.LNil
}

func scripts(t *testing.T) map[string]string {
	t.Helper()
	var config struct {
		Data map[string]string `json:"data"`
	}
	text, err := os.ReadFile(argo)
	if err == nil {
		err = yaml.UnmarshalStrict(text, &struct {
			APIVersion, Kind string
			Metadata         any
			Data             *map[string]string
		}{Data: &config.Data})
	}
	if err != nil {
		t.Fatal(err)
	}
	return config.Data
}

func recording(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	object := unstructured.Unstructured{} // whole numbers as kstatus wants them
	if err == nil {
		err = object.UnmarshalJSON(text)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object.Object
}

func kstatus(t *testing.T, object map[string]any) string {
	t.Helper()
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		t.Fatal(err)
	}
	return string(result.Status)
}

func TestFluxAndArgoTellTheStatesApart(t *testing.T) {
	scripts := scripts(t)
	paths, _ := filepath.Glob("../status/*.json")
	seen := map[string]bool{}
	for _, path := range paths {
		kind, state, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "-")
		want, known := expected[state]
		if !known {
			t.Errorf("%s: no expectation for %q", kind, state)
		}
		seen[state] = true
		object := recording(t, path)
		script := scripts["resource.customizations.health.agoge.dev_"+object["kind"].(string)]
		if script == "" {
			t.Fatalf("%s has no health check for %v", argo, object["kind"])
		}
		if got := kstatus(t, object); got != want[0] {
			t.Errorf("%s: kstatus says %s, not %s", path, got, want[0])
		}
		health, message := health(t, script, object)
		if health != want[1] || !strings.HasPrefix(message, want[2]) {
			t.Errorf("%s: Argo CD says %s %q, not %s %q", path, health, message, want[1], want[2])
		}
	}
	for state := range expected {
		if !seen[state] {
			t.Errorf("no recording is %s", state)
		}
	}
}

// An object that no operator has looked at yet, or not since its last change, is being brought up.
func TestWhatIsNotLookedAtIsInProgress(t *testing.T) {
	script := scripts(t)["resource.customizations.health.agoge.dev_SynthesisJob"]
	stale := recording(t, "../status/synthesisjob-complete.json")
	stale["metadata"].(map[string]any)["generation"] = int64(4)
	fresh := recording(t, "../status/synthesisjob-complete.json")
	delete(fresh, "status")
	for name, object := range map[string]map[string]any{"stale": stale, "fresh": fresh} {
		if health, message := health(t, script, object); health != "Progressing" {
			t.Errorf("%s: Argo CD says %s %q", name, health, message)
		}
	}
	if got := kstatus(t, stale); got != "InProgress" {
		t.Errorf("stale: kstatus says %s", got)
	}
}

func TestTheThreeHealthChecksAreOne(t *testing.T) {
	scripts := scripts(t)
	if len(scripts) != 3 {
		t.Errorf("%d health checks", len(scripts))
	}
	for key, script := range scripts {
		if script != scripts["resource.customizations.health.agoge.dev_SynthesisJob"] {
			t.Errorf("%s differs", key)
		}
	}
}
