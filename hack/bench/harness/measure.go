package main

// What is measured of one operator. Each measurement has a namespace of its own, which is empty again when it is over.

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

const (
	systemNamespace = "agoge-system"
	systemPod       = "agoge-operator-0"
	// What every worker says at its end.
	result = `{"result":{"attempted":1000,"valid":1000,"accepted":1000,"digest":"sha256:` + zeros + `"}}`
)

var synthesisJobs = schema.GroupVersionResource{Group: "agoge.dev", Version: "v1alpha1", Resource: "synthesisjobs"}

type bench struct {
	*api
	kubelet *kubelet
	job     string // the file for the Job that ours makes
	serial  int
}

// namespace makes one with the domain that the objects name.
func (b *bench) namespace(ctx context.Context, name string) (string, error) {
	b.serial++
	name = fmt.Sprintf("%s-%d", name, b.serial)
	_, err := b.typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	domain := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "courier", Labels: map[string]string{"agoge.dev/resolves": "domain"}},
		Data:       map[string]string{"policy.md": "Parcels arrive."},
	}
	_, err = b.typed.CoreV1().ConfigMaps(name).Create(ctx, domain, metav1.CreateOptions{})
	return name, err
}

// create makes n SynthesisJobs of this many pods each.
func (b *bench) create(ctx context.Context, namespace string, n, pods int) error {
	return each(n, func(i int) error {
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "agoge.dev/v1alpha1", "kind": "SynthesisJob",
			"metadata": map[string]any{"name": fmt.Sprintf("job-%05d", i)},
			"spec": map[string]any{
				"domain": "courier", "parallelism": int64(pods),
				"strategies": []any{map[string]any{"name": "template", "target": map[string]any{"accepted": int64(1000)}}},
			},
		}}
		_, err := b.objects.Resource(synthesisJobs).Namespace(namespace).Create(ctx, object, metav1.CreateOptions{})
		return err
	})
}

// phases counts objects by phase as they come.
type phases struct {
	mutex sync.Mutex
	of    map[string]string
}

func (b *bench) watch(ctx context.Context, namespace string) *phases {
	p := &phases{of: map[string]string{}}
	see := func(object any) {
		u, ok := object.(*unstructured.Unstructured)
		if !ok {
			return
		}
		phase, _, _ := unstructured.NestedString(u.Object, "status", "phase")
		p.mutex.Lock()
		defer p.mutex.Unlock()
		p.of[u.GetName()] = phase
	}
	factory := dynamicinformer.NewFilteredDynamicSharedInformerFactory(b.objects, 0, namespace, nil)
	informer := factory.ForResource(synthesisJobs).Informer()
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, object any) { see(object) }})
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return p
}

func (p *phases) count(phase string) (n int) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, is := range p.of {
		if is == phase {
			n++
		}
	}
	return n
}

func (p *phases) all(ctx context.Context, phase string, n int) error {
	err := eventually(ctx, fmt.Sprintf("%d objects are %s", n, phase), func() (bool, error) { return p.count(phase) >= n, nil })
	if err != nil {
		return fmt.Errorf("%w; %d are", err, p.count(phase))
	}
	return nil
}

// running makes n objects and returns how long it took until all of them were Running.
func (b *bench) running(ctx context.Context, namespace string, n, pods int) (time.Duration, error) {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := b.watch(watching, namespace)
	start := time.Now()
	if err := b.create(ctx, namespace, n, pods); err != nil {
		return 0, err
	}
	err := seen.all(ctx, "Running", n)
	return time.Since(start), err
}

// lead waits until the operator acts: it holds its lease, and is warm. A Job of ours is kept for the yardstick to copy.
func (b *bench) lead(ctx context.Context, p profile) error {
	namespace, err := b.namespace(ctx, "warm")
	if err != nil {
		return err
	}
	if _, err := b.running(ctx, namespace, 20, 1); err != nil {
		return err
	}
	if p.name == "ours" {
		if err := b.keepJob(ctx, namespace); err != nil {
			return err
		}
	}
	return b.clear(ctx, namespace)
}

// keepJob writes one of the namespace's Jobs as it was sent: without what the API server adds.
func (b *bench) keepJob(ctx context.Context, namespace string) error {
	jobs, err := b.typed.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return err
	}
	if len(jobs.Items) == 0 {
		return fmt.Errorf("%s has no Job", namespace)
	}
	made := jobs.Items[0]
	job := batchv1.Job{ObjectMeta: metav1.ObjectMeta{Labels: made.Labels, Annotations: made.Annotations}, Spec: made.Spec}
	job.Spec.Selector = nil
	for _, label := range []string{batchv1.JobNameLabel, batchv1.ControllerUidLabel, "job-name", "controller-uid"} {
		delete(job.Labels, label)
		delete(job.Spec.Template.Labels, label)
	}
	return writeJSON(b.job, job)
}

// settle waits until nothing was reconciled for this long.
func (o *operator) settle(ctx context.Context, quiet time.Duration) error {
	last, since := -1.0, time.Now()
	return eventually(ctx, "nothing is reconciled", func() (bool, error) {
		now, err := o.reconciles()
		if now.count != last {
			last, since = now.count, time.Now()
		}
		time.Sleep(200 * time.Millisecond)
		return time.Since(since) >= quiet, err
	})
}

// noop is what reconciling without a change costs.
type noop struct {
	PerSecond    float64 `json:"perSecond"`
	PerCPUSecond float64 `json:"perCpuSecond"`
	Mean         float64 `json:"meanMs"`
	P99          float64 `json:"p99Ms"`
	Writes       int     `json:"writes"`
}

// noops lets it reconcile n settled objects again and again for this long.
func (b *bench) noops(ctx context.Context, o *operator, namespace string, n int, long time.Duration) (noop, error) {
	if err := o.settle(ctx, 2*time.Second); err != nil {
		return noop{}, err
	}
	var last time.Duration
	round := func() error {
		before, err := o.reconciles()
		if err != nil {
			return err
		}
		start := time.Now()
		defer func() { last = time.Since(start) }()
		if err := o.poke(); err != nil {
			return err
		}
		// Reading /metrics costs the operator too: not before the round is nearly over.
		time.Sleep(last*8/10 - time.Since(start))
		return eventually(ctx, "a round is done", func() (bool, error) {
			now, err := o.reconciles()
			return now.count >= before.count+float64(n), err
		})
	}
	if err := round(); err != nil {
		return noop{}, err
	}
	before, err := o.reconciles()
	if err != nil {
		return noop{}, err
	}
	audited, cpu, start := b.audited(), o.cpu(), time.Now()
	for time.Since(start) < long {
		if err := round(); err != nil {
			return noop{}, err
		}
	}
	wall, used := time.Since(start).Seconds(), o.cpu()-cpu
	after, err := o.reconciles()
	if err != nil {
		return noop{}, err
	}
	writes, err := b.writes(audited, o.user, namespace)
	done := after.since(before)
	return noop{
		PerSecond: done.count / wall, PerCPUSecond: done.count / used,
		Mean: done.sum / done.count * 1e3, P99: done.quantile(0.99) * 1e3, Writes: len(writes),
	}, err
}

// lifetime is what an object's life costs in writes, from its creation to Complete.
type lifetime struct {
	Writes   float64            `json:"writes"`
	Children float64            `json:"children"`
	Status   float64            `json:"status"`
	Kinds    map[string]float64 `json:"kinds"`
}

// lifetimes leads n objects through a life whose steps are apart, and counts the operator's writes.
func (b *bench) lifetimes(ctx context.Context, o *operator, n int) (lifetime, error) {
	life := lifetime{Kinds: map[string]float64{}}
	namespace, err := b.namespace(ctx, o.name+"-life")
	if err != nil {
		return life, err
	}
	b.kubelet.pause.Store(int64(500 * time.Millisecond))
	defer b.kubelet.pause.Store(0)
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	seen, audited := b.watch(watching, namespace), b.audited()
	if err := b.create(ctx, namespace, n, 1); err != nil {
		return life, err
	}
	if err := seen.all(ctx, "Running", n); err != nil {
		return life, err
	}
	time.Sleep(2 * time.Second)
	if err := b.kubelet.complete(ctx, namespace, result); err != nil {
		return life, err
	}
	if err := seen.all(ctx, "Complete", n); err != nil {
		return life, err
	}
	if err := o.settle(ctx, 3*time.Second); err != nil {
		return life, err
	}
	writes, err := b.writes(audited, o.user, namespace)
	if err != nil {
		return life, err
	}
	children := map[string]bool{}
	for _, w := range writes {
		life.Writes++
		life.Kinds[w.kind()]++
		switch w.ObjectRef.Resource {
		case synthesisJobs.Resource:
			if w.ObjectRef.Subresource == "status" {
				life.Status++
			}
		case "events":
		default:
			// A create that is refused before a name is known has none; it is a write, and no child.
			if name := w.ObjectRef.Name; name != "" {
				children[w.ObjectRef.Resource+"/"+name] = true
			}
		}
	}
	life.Children = float64(len(children)) / float64(n)
	life.Writes /= float64(n)
	life.Status /= float64(n)
	for kind := range life.Kinds {
		life.Kinds[kind] /= float64(n)
	}
	return life, b.clear(ctx, namespace)
}

// scale is what many objects cost.
type scale struct {
	Seconds       float64        `json:"secondsToRunning"`
	RSS           float64        `json:"rssMiB"`
	Peak          float64        `json:"peakMiB"`
	RestartRSS    float64        `json:"restartRssMiB"`
	RestartPeak   float64        `json:"restartPeakMiB"`
	RestartWrites int            `json:"restartWrites"`
	RestartOther  map[string]int `json:"restartOther"`
}

// atScale brings up n objects of two pods each, reads the memory, and restarts the operator over them.
func (b *bench) atScale(ctx context.Context, p profile, kubeconfig string, n int) (s scale, err error) {
	o, err := p.start(ctx, kubeconfig, b.folder)
	if err != nil {
		return s, err
	}
	defer func() { o.stop() }()
	if err := b.lead(ctx, p); err != nil {
		return s, err
	}
	namespace, err := b.namespace(ctx, p.name+"-scale")
	if err != nil {
		return s, err
	}
	took, err := b.running(ctx, namespace, n, 2)
	if err != nil {
		return s, err
	}
	s.Seconds = took.Seconds()
	if err := o.quiet(ctx); err != nil {
		return s, err
	}
	if s.RSS, s.Peak, err = o.memory(); err != nil {
		return s, err
	}
	log.Printf("%s: %d objects of two pods Running after %.1f s, RSS %.1f MiB (peak %.1f)", p.name, n, s.Seconds, s.RSS, s.Peak)
	o.stop()
	audited := b.audited()
	if o, err = p.start(ctx, kubeconfig, b.folder); err != nil {
		return s, err
	}
	err = eventually(ctx, "every object was looked at", func() (bool, error) {
		now, err := o.reconciles()
		return now.count >= float64(n), err
	})
	if err != nil {
		return s, err
	}
	if err := o.quiet(ctx); err != nil {
		return s, err
	}
	if s.RestartRSS, s.RestartPeak, err = o.memory(); err != nil {
		return s, err
	}
	writes, err := b.writes(audited, p.user, "")
	if err != nil {
		return s, err
	}
	s.RestartOther = map[string]int{}
	for _, w := range writes {
		if w.ObjectRef.Namespace == namespace {
			s.RestartWrites++
		} else {
			s.RestartOther[w.kind()]++
		}
	}
	log.Printf("%s: restarted, RSS %.1f MiB (peak %.1f), %d writes, beside them %v", p.name, s.RestartRSS, s.RestartPeak, s.RestartWrites, s.RestartOther)
	return s, b.clear(ctx, namespace)
}

// quiet waits until nothing happens, and 15 s more, in which a collector may give memory back.
func (o *operator) quiet(ctx context.Context) error {
	if err := o.settle(ctx, 5*time.Second); err != nil {
		return err
	}
	time.Sleep(15 * time.Second)
	return nil
}
