package main

// The world that runs Jobs, in the place of the Job controller and a kubelet: pods from the Job's own template, their
// statuses, and the Job's. The same for both operators, and as quick as the API server.

import (
	"context"
	"fmt"
	"log"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

type kubelet struct {
	client *kubernetes.Clientset
	queue  chan *batchv1.Job
	// How long each step takes, in nanoseconds: none when only the operator's speed counts.
	pause atomic.Int64
}

func startKubelet(ctx context.Context, client *kubernetes.Clientset, workers int) (*kubelet, error) {
	k := &kubelet{client: client, queue: make(chan *batchv1.Job, 1<<15)}
	factory := informers.NewSharedInformerFactory(client, 0)
	jobs := factory.Batch().V1().Jobs().Informer()
	_, err := jobs.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: func(object any) {
		if job := object.(*batchv1.Job); job.Status.StartTime == nil && !ptr.Deref(job.Spec.Suspend, false) {
			k.queue <- job
		}
	}})
	if err != nil {
		return nil, err
	}
	for range workers {
		go func() {
			for job := range k.queue {
				if err := k.run(ctx, job); err != nil && ctx.Err() == nil {
					log.Printf("running job %s: %v", job.Name, err)
				}
			}
		}()
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return k, nil
}

func (k *kubelet) step() { time.Sleep(time.Duration(k.pause.Load())) }

// run makes the pods and lets them run.
func (k *kubelet) run(ctx context.Context, job *batchv1.Job) error {
	job = job.DeepCopy()
	shards := ptr.Deref(job.Spec.Parallelism, 1)
	now := metav1.Now()
	pods := make([]*corev1.Pod, shards)
	for index := range pods {
		pod, err := k.client.CoreV1().Pods(job.Namespace).Create(ctx, podOf(job, index), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		pods[index] = pod
	}
	job.Status = batchv1.JobStatus{
		StartTime: &now, Active: shards, Ready: ptr.To[int32](0), Terminating: ptr.To[int32](0),
		UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{},
	}
	slow := k.pause.Load() > 0
	jobs := k.client.BatchV1().Jobs(job.Namespace)
	if slow {
		updated, err := jobs.UpdateStatus(ctx, job, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		job = updated
		k.step()
	}
	for _, pod := range pods {
		pod.Status = podStatus(pod, corev1.PodRunning, corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}})
		if _, err := k.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	k.step()
	job.Status.Ready = &shards
	_, err := jobs.UpdateStatus(ctx, job, metav1.UpdateOptions{})
	return err
}

// complete lets every Job of a namespace end well: its pods first, each with this termination message.
func (k *kubelet) complete(ctx context.Context, namespace, message string) error {
	jobs, err := k.client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	pods, err := k.client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	err = each(len(pods.Items), func(i int) error {
		pod := &pods.Items[i]
		pod.Status = podStatus(pod, corev1.PodSucceeded, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", Message: message, FinishedAt: metav1.Now(),
		}})
		_, err := k.client.CoreV1().Pods(namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	k.step()
	return each(len(jobs.Items), func(i int) error {
		job := &jobs.Items[i]
		now, shards := metav1.Now(), ptr.Deref(job.Spec.Completions, 1)
		job.Status.Active, job.Status.Ready, job.Status.Succeeded = 0, ptr.To[int32](0), shards
		if ptr.Deref(job.Spec.CompletionMode, "") == batchv1.IndexedCompletion {
			job.Status.CompletedIndexes = "0"
			if shards > 1 {
				job.Status.CompletedIndexes = fmt.Sprintf("0-%d", shards-1)
			}
		}
		for _, condition := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
			job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{
				Type: condition, Status: corev1.ConditionTrue, Reason: batchv1.JobReasonCompletionsReached,
				Message: "Reached expected number of succeeded pods", LastProbeTime: now, LastTransitionTime: now,
			})
			if condition == batchv1.JobComplete {
				job.Status.CompletionTime = &now
			}
			updated, err := k.client.BatchV1().Jobs(namespace).UpdateStatus(ctx, job, metav1.UpdateOptions{})
			if err != nil {
				return err
			}
			*job = *updated
			k.step()
		}
		return nil
	})
}

// podOf is the pod that the Job controller would make, already bound.
func podOf(job *batchv1.Job, index int) *corev1.Pod {
	template := job.Spec.Template.DeepCopy()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace = job.Namespace
	pod.GenerateName = fmt.Sprintf("%s-%d-", job.Name, index)
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	pod.Spec.NodeName = "node-0"
	pod.Spec.Hostname = fmt.Sprintf("%s-%d", job.Name, index)
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	for key, value := range map[string]string{
		batchv1.JobNameLabel: job.Name, batchv1.ControllerUidLabel: string(job.UID), "job-name": job.Name, "controller-uid": string(job.UID),
	} {
		pod.Labels[key] = value
	}
	if ptr.Deref(job.Spec.CompletionMode, "") == batchv1.IndexedCompletion {
		pod.Labels[batchv1.JobCompletionIndexAnnotation] = strconv.Itoa(index)
		pod.Annotations[batchv1.JobCompletionIndexAnnotation] = strconv.Itoa(index)
	}
	return pod
}

// podStatus is as a kubelet would write it.
func podStatus(pod *corev1.Pod, phase corev1.PodPhase, state corev1.ContainerState) corev1.PodStatus {
	now := metav1.Now()
	ready := corev1.ConditionFalse
	if phase == corev1.PodRunning {
		ready = corev1.ConditionTrue
	}
	status := corev1.PodStatus{
		Phase: phase, StartTime: &now, HostIP: "192.0.2.10", PodIP: "10.244.0.2", PodIPs: []corev1.PodIP{{IP: "10.244.0.2"}},
		QOSClass: pod.Status.QOSClass,
	}
	for _, condition := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		value := corev1.ConditionTrue
		if condition == corev1.PodReady || condition == corev1.ContainersReady {
			value = ready
		}
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: condition, Status: value, LastTransitionTime: now})
	}
	for i := range pod.Spec.Containers {
		container := &pod.Spec.Containers[i]
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: container.Name, Image: container.Image, State: state, Ready: ready == corev1.ConditionTrue,
			Started: ptr.To(state.Running != nil), ImageID: "localhost/agoge-worker@sha256:" + zeros,
			ContainerID: "containerd://" + zeros,
		})
	}
	return status
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// each does it for 0 to n-1, sixteen at a time, and returns the first error.
func each(n int, work func(int) error) error {
	var (
		wait sync.WaitGroup
		next atomic.Int64
		once sync.Once
		fail error
	)
	for range 16 {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := work(i); err != nil {
					once.Do(func() { fail = err })
					return
				}
			}
		})
	}
	wait.Wait()
	return fail
}
