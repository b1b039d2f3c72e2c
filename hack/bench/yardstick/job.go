package main

// The Job of a SynthesisJob: Indexed, restricted pods, as Agoge's own. Without a pattern it lacks what a worker needs to
// work (domain, assignment, token); with one it is that Job, for this owner.

import (
	"encoding/json"
	"fmt"
	"os"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const (
	managedBy  = "app.kubernetes.io/managed-by"
	manager    = "yardstick"
	ownerLabel = "agoge.dev/owner"
)

// readPattern reads a Job that was written as JSON.
func readPattern(path string) (*batchv1.Job, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pattern := &batchv1.Job{}
	if err := json.Unmarshal(text, pattern); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return pattern, nil
}

// like is the pattern for this owner.
func like(pattern *batchv1.Job, owner *SynthesisJob) *batchv1.Job {
	job := pattern.DeepCopy()
	job.Namespace, job.Name = owner.Namespace, jobName(owner)
	for _, labels := range []map[string]string{job.Labels, job.Spec.Template.Labels} {
		labels[managedBy], labels[ownerLabel] = manager, owner.Name
	}
	shards := max(owner.Spec.Parallelism, 1)
	job.Spec.Completions, job.Spec.Parallelism = &shards, &shards
	return job
}

func least(owner *SynthesisJob) *batchv1.Job {
	labels := map[string]string{
		"app.kubernetes.io/name":      "agoge",
		"app.kubernetes.io/component": "synthesize",
		managedBy:                     manager,
		ownerLabel:                    owner.Name,
	}
	shards := max(owner.Spec.Parallelism, 1)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: owner.Namespace, Name: jobName(owner), Labels: labels},
		Spec: batchv1.JobSpec{
			CompletionMode: ptr.To(batchv1.IndexedCompletion),
			Completions:    &shards,
			Parallelism:    &shards,
			BackoffLimit:   ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					RestartPolicy:                corev1.RestartPolicyNever,
					AutomountServiceAccountToken: ptr.To(false),
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot:   ptr.To(true),
						RunAsUser:      ptr.To[int64](65532),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name:  "worker",
						Image: "localhost/agoge-worker:latest",
						Args:  []string{"synthesize", "--domain", owner.Spec.Domain, "--target", fmt.Sprint(target(owner))},
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: ptr.To(false),
							ReadOnlyRootFilesystem:   ptr.To(true),
							Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
						VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/work"}},
					}},
					Volumes: []corev1.Volume{{
						Name:         "work",
						VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
					}},
				},
			},
		},
	}
}

func jobName(owner *SynthesisJob) string { return owner.Name + "-synthesize" }

func target(owner *SynthesisJob) (sum int64) {
	for _, strategy := range owner.Spec.Strategies {
		sum += strategy.Target.Accepted
	}
	return sum
}
