package main

// An operator under measurement: how it is started, and what /proc and its own /metrics say of it.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// profile is what tells one operator from the other; everything else is the same.
type profile struct {
	name      string // ours, peer or same
	user      string // as the API server knows it
	command   func(listen string) []string
	env       []string
	requeue   string // POST there reconciles every object once
	ready     string // GET there answers 200
	histogram string // of the duration of reconciles
	readyOnly bool   // time to ready alone is measured of it
}

func oursProfile(binary, folder string) profile {
	return profile{
		name: "ours", user: "bench-ours",
		command: func(listen string) []string {
			return []string{binary, "operator", "--namespace", systemNamespace, "--identity", systemPod,
				"--store-url", "file://" + filepath.Join(folder, "store"), "--worker-image", "localhost/agoge-worker:latest",
				"--progress-listen", "127.0.0.1:0", "--http-listen", listen}
		},
		env:     []string{"AGOGE_BENCH=1", "POD_NAME=" + systemPod, "POD_NAMESPACE=" + systemNamespace},
		requeue: "/reconcile-all", ready: "/readyz", histogram: "agoge_reconcile_duration_seconds",
	}
}

// peerProfile is the yardstick: with the least Job, or with the Job in that file.
func peerProfile(binary, job string) profile {
	p := profile{
		name: "peer", user: "bench-peer",
		command: func(listen string) []string { return []string{binary, "--http-listen", listen, "--job", job} },
		requeue: "/requeue", ready: "/metrics", histogram: "controller_runtime_reconcile_time_seconds",
	}
	if job != "" {
		p.name, p.readyOnly = "same", true
	}
	return p
}

type operator struct {
	profile
	process *exec.Cmd
	base    string
	ended   chan struct{}
}

// start starts it and waits until it answers.
func (p profile) start(ctx context.Context, kubeconfig, folder string) (*operator, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	listen := free.Addr().String()
	free.Close()
	log, err := os.OpenFile(filepath.Join(folder, p.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := p.command(listen)
	process := exec.Command(command[0], command[1:]...)
	process.Env = append(append(os.Environ(), "KUBECONFIG="+kubeconfig), p.env...)
	process.Stdout, process.Stderr = log, log
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := process.Start(); err != nil {
		return nil, err
	}
	o := &operator{profile: p, process: process, base: "http://" + listen, ended: make(chan struct{})}
	go func() {
		_ = process.Wait()
		close(o.ended)
	}()
	err = eventually(ctx, p.name+" is ready", func() (bool, error) {
		select {
		case <-o.ended:
			return false, fmt.Errorf("%s ended; see %s", p.name, log.Name())
		default:
		}
		answer, err := http.Get(o.base + p.ready)
		if err != nil {
			return false, nil
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK, nil
	})
	return o, err
}

// stop ends it as Kubernetes would.
func (o *operator) stop() {
	_ = o.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-o.ended:
	case <-time.After(30 * time.Second):
		_ = o.process.Process.Kill()
		<-o.ended
	}
}

// poke lets it reconcile every object once more.
func (o *operator) poke() error {
	answer, err := http.Post(o.base+o.requeue, "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		return fmt.Errorf("%s: POST %s: %s", o.name, o.requeue, answer.Status)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// histogram is a cumulative one: count and sum of all, and the count of those within each bound.
type histogram struct {
	count  float64
	sum    float64
	within map[float64]float64
}

// reconciles reads the histogram of reconciles, summed over kinds and results.
func (o *operator) reconciles() (histogram, error) {
	h := histogram{within: map[float64]float64{}}
	answer, err := http.Get(o.base + "/metrics")
	if err != nil {
		return h, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		rest, ok := strings.CutPrefix(lines.Text(), o.histogram)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			continue
		}
		if strings.HasPrefix(rest, "_count") {
			h.count += value
		} else if strings.HasPrefix(rest, "_sum") {
			h.sum += value
		} else if _, label, ok := strings.Cut(rest, `le="`); ok && strings.HasPrefix(rest, "_bucket") {
			text, _, _ := strings.Cut(label, `"`)
			if bound, err := strconv.ParseFloat(text, 64); err == nil {
				h.within[bound] += value
			}
		}
	}
	return h, lines.Err()
}

// since is what came after before.
func (h histogram) since(before histogram) histogram {
	out := histogram{count: h.count - before.count, sum: h.sum - before.sum, within: map[float64]float64{}}
	for bound, count := range h.within {
		out.within[bound] = count - before.within[bound]
	}
	return out
}

// quantile is read off between bounds in a straight line, as Prometheus does.
func (h histogram) quantile(q float64) float64 {
	bounds := make([]float64, 0, len(h.within))
	for bound := range h.within {
		bounds = append(bounds, bound)
	}
	sort.Float64s(bounds)
	rank, lower, below := q*h.count, 0.0, 0.0
	for _, bound := range bounds {
		if count := h.within[bound]; count >= rank && count > below {
			return lower + (bound-lower)*(rank-below)/(count-below)
		}
		lower, below = bound, h.within[bound]
	}
	return lower
}

// memory is VmRSS and VmHWM in MiB.
func (o *operator) memory() (rss, peak float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.process.Process.Pid))
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			rss = kib / 1024
		case "VmHWM:":
			peak = kib / 1024
		}
	}
	return rss, peak, err
}

// cpu is the processor time of all its threads, in seconds.
func (o *operator) cpu() float64 { return cpuOf(o.process.Process.Pid) }

// serverCPU is that of etcd and the API server.
func serverCPU() (seconds float64) {
	names, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, name := range names {
		comm, _ := os.ReadFile(name)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if program := strings.TrimSpace(string(comm)); err == nil && (program == "kube-apiserver" || program == "etcd") {
			seconds += cpuOf(pid)
		}
	}
	return seconds
}

func cpuOf(pid int) float64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100
}

// eventually waits until the condition holds, for at most ten minutes.
func eventually(ctx context.Context, what string, condition func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for {
		if done, err := condition(); err != nil {
			return fmt.Errorf("until %s: %w", what, err)
		} else if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("until %s: %w", what, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
