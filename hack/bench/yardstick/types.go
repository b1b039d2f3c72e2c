package main

// The part of SynthesisJob that one Job and a status need. The CRD is Agoge's own.

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var groupVersion = schema.GroupVersion{Group: "agoge.dev", Version: "v1alpha1"}

// SynthesisJob is what both operators reconcile.
type SynthesisJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SynthesisJobSpec   `json:"spec"`
	Status SynthesisJobStatus `json:"status,omitempty"`
}

// SynthesisJobSpec is what it asks for.
type SynthesisJobSpec struct {
	Domain      string     `json:"domain"`
	Strategies  []Strategy `json:"strategies"`
	Parallelism int32      `json:"parallelism,omitempty"`
}

// Strategy is one way to make instances.
type Strategy struct {
	Name   string `json:"name"`
	Target Target `json:"target"`
}

// Target says when a strategy has made enough.
type Target struct {
	Accepted int64 `json:"accepted"`
}

// SynthesisJobStatus is what became of it.
type SynthesisJobStatus struct {
	Phase              string             `json:"phase,omitempty"`
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Accepted           int64              `json:"accepted,omitempty"`
	Target             int64              `json:"target,omitempty"`
	StartTime          *metav1.Time       `json:"startTime,omitempty"`
	CompletionTime     *metav1.Time       `json:"completionTime,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// SynthesisJobList is a list of them.
type SynthesisJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []SynthesisJob `json:"items"`
}

// DeepCopy is a copy that shares nothing.
func (j *SynthesisJob) DeepCopy() *SynthesisJob {
	out := *j
	out.ObjectMeta = *j.ObjectMeta.DeepCopy()
	out.Spec.Strategies = slices.Clone(j.Spec.Strategies)
	out.Status.StartTime = j.Status.StartTime.DeepCopy()
	out.Status.CompletionTime = j.Status.CompletionTime.DeepCopy()
	out.Status.Conditions = slices.Clone(j.Status.Conditions)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (j *SynthesisJob) DeepCopyObject() runtime.Object { return j.DeepCopy() }

// DeepCopyObject implements runtime.Object.
func (l *SynthesisJobList) DeepCopyObject() runtime.Object {
	out := *l
	out.ListMeta = *l.ListMeta.DeepCopy()
	out.Items = make([]SynthesisJob, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopy()
	}
	return &out
}

func addToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(groupVersion, &SynthesisJob{}, &SynthesisJobList{})
	metav1.AddToGroupVersion(scheme, groupVersion)
	return nil
}
