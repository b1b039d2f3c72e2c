module agoge.dev/tests/charts

go 1.25

require (
	github.com/prometheus/prometheus v0.308.1
	github.com/yuin/gopher-lua v1.1.1
	k8s.io/api v0.37.2
	k8s.io/apimachinery v0.37.2
	sigs.k8s.io/cli-utils v0.37.2
	sigs.k8s.io/yaml v1.6.0
)
