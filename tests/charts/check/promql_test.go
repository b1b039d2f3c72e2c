// Dashboard and alerts: PromQL that Prometheus parses, over metrics that docs/metrics.md lists.
package charts

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// By metric, its labels, as the table of docs/metrics.md says them.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	row := regexp.MustCompile("(?m)^\\| `(agoge_[a-z_0-9]+)` \\| (histogram|counter|gauge) \\| ([^|]*)\\|")
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		names := []string{match[1]}
		labels := regexp.MustCompile("`([a-z]+)`").FindAllStringSubmatch(match[3], -1)
		if match[2] == "histogram" {
			names = []string{match[1] + "_bucket", match[1] + "_sum", match[1] + "_count"}
			labels = append(labels, []string{"", "le"})
		}
		for _, name := range names {
			all[name] = []string{"namespace", "pod"} // what a scrape adds
			for _, label := range labels {
				all[name] = append(all[name], label[1])
			}
		}
	}
	return all
}

func check(t *testing.T, where, query string, known map[string][]string, used map[string]bool) {
	t.Helper()
	query = strings.NewReplacer("$__rate_interval", "5m", "$namespace", "agoge").Replace(query)
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	var allowed []string
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			labelsOf, ok := known[selector.Name]
			if !ok {
				t.Errorf("%s: docs/metrics.md does not list %s", where, selector.Name)
			}
			used[selector.Name] = true
			allowed = append(allowed, labelsOf...)
			for _, matcher := range selector.LabelMatchers {
				if matcher.Name != labels.MetricName && !contains(labelsOf, matcher.Name) {
					t.Errorf("%s: %s has no label %s", where, selector.Name, matcher.Name)
				}
			}
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if aggregate, ok := node.(*parser.AggregateExpr); ok && !aggregate.Without {
			for _, label := range aggregate.Grouping {
				if !contains(allowed, label) {
					t.Errorf("%s: no metric of it has the label %s", where, label)
				}
			}
		}
		return nil
	})
}

func contains(words []string, word string) bool {
	for _, w := range words {
		if w == word {
			return true
		}
	}
	return false
}

func TestDashboardAndAlertsAskForMetricsThereAre(t *testing.T) {
	known, used := metrics(t), map[string]bool{}
	text, err := os.ReadFile("../../../charts/agoge/files/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Uid    string
		Panels []struct {
			Id      int
			Title   string
			Type    string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids, places := map[int]bool{}, map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		if ids[panel.Id] {
			t.Errorf("two panels have the id %d", panel.Id)
		}
		ids[panel.Id] = true
		for x := panel.GridPos.X; x < panel.GridPos.X+panel.GridPos.W; x++ {
			for y := panel.GridPos.Y; y < panel.GridPos.Y+panel.GridPos.H; y++ {
				if other := places[[2]int{x, y}]; other != "" {
					t.Fatalf("%q lies over %q", panel.Title, other)
				}
				places[[2]int{x, y}] = panel.Title
			}
		}
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%q shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			check(t, "dashboard, "+panel.Title, target.Expr, known, used)
		}
	}
	text, err = os.ReadFile("../../../charts/agoge/files/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var alerts struct {
		Groups []struct {
			Name  string `json:"name"`
			Rules []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(text, &alerts); err != nil {
		t.Fatal(err)
	}
	page, _ := os.ReadFile("../../../docs/metrics.md")
	for _, group := range alerts.Groups {
		for _, rule := range group.Rules {
			check(t, "alert "+rule.Alert, rule.Expr, known, used)
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || rule.Labels["severity"] == "" {
				t.Errorf("alert %s says not what happened, what to do, or how bad it is", rule.Alert)
			}
			if !strings.Contains(string(page), "`"+rule.Alert+"`") {
				t.Errorf("docs/metrics.md does not name the alert %s", rule.Alert)
			}
		}
	}
	for name := range known {
		if !used[name] && !strings.HasSuffix(name, "_sum") && !strings.HasSuffix(name, "_count") {
			t.Errorf("neither dashboard nor alerts show %s", name)
		}
	}
}
