package main

// The reconciler: a Job if there is none, and a status that is patched only when it changes. It reads the cache alone.

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

type reconciler struct {
	client.Client
	// What Jobs look like; none: the least.
	pattern *batchv1.Job
}

func (r *reconciler) setup(mgr ctrl.Manager, poke <-chan event.GenericEvent, concurrency int) error {
	ofPod := func(_ context.Context, pod client.Object) []reconcile.Request {
		name := types.NamespacedName{Namespace: pod.GetNamespace(), Name: pod.GetLabels()[ownerLabel]}
		return []reconcile.Request{{NamespacedName: name}}
	}
	err := mgr.GetFieldIndexer().IndexField(context.Background(), &corev1.Pod{}, ownerLabel, func(pod client.Object) []string {
		return []string{pod.GetLabels()[ownerLabel]}
	})
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		For(&SynthesisJob{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&batchv1.Job{}).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(ofPod)).
		WatchesRawSource(source.Channel(poke, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency}).
		Complete(r)
}

// Reconcile makes the Job and says how it is.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	owner := &SynthesisJob{}
	if err := r.Get(ctx, request.NamespacedName, owner); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if owner.DeletionTimestamp != nil || owner.Status.Phase == "Complete" || owner.Status.Phase == "Failed" {
		return ctrl.Result{}, nil
	}
	job := &batchv1.Job{}
	err := r.Get(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: jobName(owner)}, job)
	if apierrors.IsNotFound(err) {
		job = least(owner)
		if r.pattern != nil {
			job = like(r.pattern, owner)
		}
		if err := controllerutil.SetControllerReference(owner, job, r.Scheme()); err != nil {
			return ctrl.Result{}, err
		}
		if err := r.Create(ctx, job); err != nil && !apierrors.IsAlreadyExists(err) {
			return ctrl.Result{}, fmt.Errorf("creating the job: %w", err)
		}
	} else if err != nil {
		return ctrl.Result{}, err
	}
	pods := &corev1.PodList{}
	if err := r.List(ctx, pods, client.InNamespace(owner.Namespace), client.MatchingFields{ownerLabel: owner.Name}); err != nil {
		return ctrl.Result{}, err
	}
	before := owner.DeepCopy()
	observe(owner, job, pods.Items)
	if equality.Semantic.DeepEqual(before.Status, owner.Status) {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Status().Patch(ctx, owner, client.MergeFrom(before)))
}

// observe writes the status that the Job and its pods say.
func observe(owner *SynthesisJob, job *batchv1.Job, pods []corev1.Pod) {
	status := &owner.Status
	status.ObservedGeneration = owner.Generation
	status.Target = target(owner)
	running := 0
	for i := range pods {
		if pods[i].Status.Phase == corev1.PodRunning {
			running++
		}
	}
	phase, reason, message := "Pending", "Starting", "the job's pods do not run yet"
	for _, condition := range job.Status.Conditions {
		if condition.Status != corev1.ConditionTrue {
			continue
		}
		switch condition.Type {
		case batchv1.JobComplete:
			phase, reason, message = "Complete", "TargetsReached", "the job is complete"
			status.Accepted, status.CompletionTime = status.Target, job.Status.CompletionTime
		case batchv1.JobFailed:
			phase, reason, message = "Failed", condition.Reason, condition.Message
		}
	}
	switch {
	case phase == "Pending" && running > 0:
		phase, reason, message = "Running", "Running", fmt.Sprintf("%d pods run", running)
		if status.StartTime == nil {
			status.StartTime = job.Status.StartTime
		}
	case phase == "Pending" && status.Phase == "Running":
		// The pods have ended and the job does not say so yet.
		return
	}
	status.Phase = phase
	progressing := metav1.ConditionFalse
	if phase == "Running" || phase == "Pending" {
		progressing = metav1.ConditionTrue
	}
	conditions := []metav1.Condition{{Type: "Progressing", Status: progressing, Reason: reason, Message: message}}
	if phase == "Complete" || phase == "Failed" {
		conditions = append(conditions, metav1.Condition{Type: phase, Status: metav1.ConditionTrue, Reason: reason, Message: message})
	}
	for _, condition := range conditions {
		condition.ObservedGeneration = owner.Generation
		meta.SetStatusCondition(&status.Conditions, condition)
	}
}
