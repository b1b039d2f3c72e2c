// The harness of `make bench-operator`: Agoge's operator and the yardstick, alternately, on one API server in one run.
// It leaves result.json with a row for each figure, and raw.json with every repetition.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

type options struct {
	binaries, crds, ours, peer, out string
	rounds, small, large, settled   int
	lives, scale                    int
	seconds                         float64
}

func main() {
	var o options
	flag.StringVar(&o.binaries, "binaries", "", "folder of etcd and kube-apiserver")
	flag.StringVar(&o.crds, "crds", "", "file of the CRDs")
	flag.StringVar(&o.ours, "ours", "", "the binary agoge; empty measures the yardstick alone")
	flag.StringVar(&o.peer, "peer", "", "the binary of the yardstick; empty measures ours alone")
	flag.StringVar(&o.out, "out", "out/bench-operator", "folder for what it finds")
	flag.IntVar(&o.rounds, "rounds", 3, "repetitions of time to ready and of no-op reconciles")
	flag.IntVar(&o.small, "small", 200, "objects of the small row of time to ready")
	flag.IntVar(&o.large, "large", 500, "objects of the large one")
	flag.IntVar(&o.settled, "settled", 2000, "settled objects for no-op reconciles")
	flag.Float64Var(&o.seconds, "seconds", 20, "seconds of no-op reconciles")
	flag.IntVar(&o.lives, "lives", 20, "lifetimes to count writes of")
	flag.IntVar(&o.scale, "scale", 5000, "objects at scale, of two pods each; 0 leaves it out")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o); err != nil {
		cancel()
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) (err error) {
	folder, err := filepath.Abs(filepath.Join(o.out, "work"))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var sides []profile
	if o.ours != "" {
		sides = append(sides, oursProfile(o.ours, folder))
	}
	if o.peer != "" {
		sides = append(sides, peerProfile(o.peer, ""))
	}
	// The Job that ours makes, for the yardstick to make too. Ours begins.
	job := filepath.Join(folder, "job.json")
	if o.ours != "" && o.peer != "" {
		sides = append(sides, peerProfile(o.peer, job))
	}
	server, err := startAPI(o.binaries, o.crds, folder, "bench-ours", "bench-peer")
	if err != nil {
		return err
	}
	defer func() {
		if stop := server.env.Stop(); err == nil {
			err = stop
		}
	}()
	world, stop := context.WithCancel(ctx)
	defer stop()
	kubelet, err := startKubelet(world, server.typed, 16)
	if err != nil {
		return err
	}
	b := &bench{api: server, kubelet: kubelet, job: job}
	if err := b.system(ctx); err != nil {
		return err
	}
	configs, all := map[string]string{}, map[string]*found{}
	for _, p := range sides {
		if configs[p.user] == "" {
			if configs[p.user], err = server.kubeconfig(p.user); err != nil {
				return err
			}
		}
		all[p.name] = &found{}
	}
	save := func() error {
		return first(writeJSON(filepath.Join(o.out, "raw.json"), all), writeJSON(filepath.Join(o.out, "result.json"), rows(o, all)))
	}
	for round := range o.rounds {
		for i := range sides {
			p := sides[(i+round)%len(sides)]
			if err := b.round(ctx, p, configs[p.user], o, round == 0, all[p.name]); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if err := save(); err != nil {
				return err
			}
		}
	}
	if o.scale > 0 {
		for _, p := range sides {
			if p.readyOnly {
				continue
			}
			s, err := b.atScale(ctx, p, configs[p.user], o.scale)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			all[p.name].Scale = &s
			if err := save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// system makes what an installed operator finds: its namespace and its own pod.
func (b *bench) system(ctx context.Context) error {
	for _, name := range []string{systemNamespace} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := b.typed.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: systemPod},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "operator", Image: "localhost/agoge-operator:latest"}}},
	}
	_, err := b.typed.CoreV1().Pods(systemNamespace).Create(ctx, pod, metav1.CreateOptions{})
	return err
}

// round is one repetition of one side, in a process of its own.
func (b *bench) round(ctx context.Context, p profile, kubeconfig string, options options, lives bool, found *found) error {
	o, err := p.start(ctx, kubeconfig, b.folder)
	if err != nil {
		return err
	}
	defer o.stop()
	if err := b.lead(ctx, p); err != nil {
		return err
	}
	for _, n := range []int{options.small, options.large} {
		namespace, err := b.namespace(ctx, p.name+"-ready")
		if err != nil {
			return err
		}
		own, server := o.cpu(), serverCPU()
		took, err := b.running(ctx, namespace, n, 1)
		if err != nil {
			return err
		}
		own, server = o.cpu()-own, serverCPU()-server
		log.Printf("%s: %d objects ready after %.2f s; processor time: %.2f s of the operator, %.2f s of the API server", p.name, n,
			took.Seconds(), own, server)
		if n == options.small {
			found.Small = append(found.Small, took.Seconds())
		} else {
			found.Large = append(found.Large, took.Seconds())
			found.Server = append(found.Server, server/float64(n)*1e3)
		}
		if err := b.clear(ctx, namespace); err != nil {
			return err
		}
	}
	if p.readyOnly {
		return nil
	}
	namespace, err := b.namespace(ctx, p.name+"-noop")
	if err != nil {
		return err
	}
	if _, err := b.running(ctx, namespace, options.settled, 1); err != nil {
		return err
	}
	costs, err := b.noops(ctx, o, namespace, options.settled, time.Duration(options.seconds*float64(time.Second)))
	if err != nil {
		return err
	}
	log.Printf("%s: no-op reconciles: %+v", p.name, costs)
	found.Noop = append(found.Noop, costs)
	if err := b.clear(ctx, namespace); err != nil {
		return err
	}
	if lives {
		life, err := b.lifetimes(ctx, o, options.lives)
		if err != nil {
			return err
		}
		log.Printf("%s: a lifetime: %+v", p.name, life)
		found.Life = &life
	}
	return nil
}

func writeJSON(path string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
