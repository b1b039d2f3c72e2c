// The yardstick: an operator on controller-runtime that does the least of what Agoge's does - one Job and a status for
// each SynthesisJob - in the way its makers recommend: a cache without managedFields, pods by label, writes only on change.
package main

import (
	"flag"
	"net/http"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	listen := flag.String("http-listen", "127.0.0.1:8080", "where /metrics and POST /requeue are")
	concurrency := flag.Int("concurrency", 16, "reconciles at once")
	job := flag.String("job", "", "file with the Job that each is to have, as JSON; empty: the least one")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*listen, *concurrency, *job); err != nil {
		ctrl.Log.Error(err, "ended")
		os.Exit(1)
	}
}

func run(listen string, concurrency int, jobFile string) error {
	var pattern *batchv1.Job
	if jobFile != "" {
		read, err := readPattern(jobFile)
		if err != nil {
			return err
		}
		pattern = read
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, addToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit on the client's side; the server has its own
	ours := cache.ByObject{Label: labels.SelectorFromSet(labels.Set{managedBy: manager})}
	poke := make(chan event.GenericEvent)
	var mgr ctrl.Manager
	requeue := func(w http.ResponseWriter, r *http.Request) {
		list := &SynthesisJobList{}
		if err := mgr.GetClient().List(r.Context(), list, client.UnsafeDisableDeepCopy); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		for i := range list.Items {
			poke <- event.GenericEvent{Object: &list.Items[i]}
		}
	}
	mgr, err = ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject:         map[client.Object]cache.ByObject{&batchv1.Job{}: ours, &corev1.Pod{}: ours},
		},
		Metrics: metricsserver.Options{
			BindAddress:   listen,
			ExtraHandlers: map[string]http.Handler{"/requeue": http.HandlerFunc(requeue)},
		},
	})
	if err != nil {
		return err
	}
	if err := (&reconciler{mgr.GetClient(), pattern}).setup(mgr, poke, concurrency); err != nil {
		return err
	}
	return mgr.Start(ctrl.SetupSignalHandler())
}
