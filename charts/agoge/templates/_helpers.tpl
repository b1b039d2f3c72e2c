{{- /* What selects the operator's pods. Never agoge.dev/leader, which comes and goes. */}}
{{- define "agoge.selector" -}}
app.kubernetes.io/name: agoge
app.kubernetes.io/component: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "agoge.labels" -}}
{{ include "agoge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* Name of what belongs to no namespace: releases in two namespaces do not meet. */}}
{{- define "agoge.global" -}}
agoge-operator-{{ .Release.Namespace }}
{{- end }}

{{- define "agoge.operatorImage" -}}
{{ .Values.image.operator.repository }}:{{ .Values.image.operator.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "agoge.workerImage" -}}
{{ .Values.image.worker.repository }}:{{ .Values.image.worker.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "agoge.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "agoge.restrictedPod" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* What the operator may do where runs are. */}}
{{- define "agoge.rules" -}}
- apiGroups: [agoge.dev]
  resources: [synthesisjobs, checkersuites, grporuns]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [agoge.dev]
  resources: [synthesisjobs/status, checkersuites/status, grporuns/status]
  verbs: [patch]
- apiGroups: [agoge.dev]
  resources: [synthesisjobs/finalizers, checkersuites/finalizers, grporuns/finalizers]
  verbs: [update]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
# What the names of manifests stand for.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [scheduling.k8s.io, scheduling.volcano.sh]
  resources: [podgroups]
  verbs: [get, list, watch, create, patch, delete]
# Why a Job's pods were refused (a quota, an admission policy) is said in an event alone.
- apiGroups: [""]
  resources: [events]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
