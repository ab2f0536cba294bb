{{/*
Generated from crds/src/k8s/rights.rs: `ZKINFER_UPDATE=1 cargo test -p zkinfer-crds`. Do not edit.

The rights, each list once: cluster-wide they are in ClusterRoles, with `namespaces` in a Role of each namespace.
*/}}

{{/* What the operator does with the objects of a namespace. */}}
{{- define "zkinfer.rules.objects" -}}
- apiGroups: [zkinfer.dev]
  resources: [models, inferencerequests, minerpools, validators]
  verbs: [list, watch]
# Created for clients of the HTTP API after a SubjectAccessReview, and erased for them; deleted when their time is over. Benchmarks, in the operator's own namespace.
- apiGroups: [zkinfer.dev]
  resources: [inferencerequests]
  verbs: [create, delete, patch]
- apiGroups: [zkinfer.dev]
  resources: [models/status, inferencerequests/status, minerpools/status, validators/status]
  verbs: [patch]
# Models, calibration data and inputs, one at a time by name.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Who may see the models of a namespace: ConfigMaps of this one name.
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [zkinfer-consent]
  verbs: [list, watch]
# Workers and compilers.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# Why workers do not start: read while they are to come.
- apiGroups: [""]
  resources: [pods, events]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [create, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}

{{/* Whose token is it, and may they? Neither is of a namespace. */}}
{{- define "zkinfer.rules.reviews" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end }}

{{/* In the operator's own namespace: the key of claim tokens, the tokens of compilers, and who of several operators acts. */}}
{{- define "zkinfer.rules.own" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [zkinfer-token-key, zkinfer-validator-key, zkinfer-hotkey]
  verbs: [get]
# Who of several operators acts.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [zkinfer-operator]
  verbs: [get, update]
{{- end }}

{{/* What view includes. */}}
{{- define "zkinfer.rules.view" -}}
- apiGroups: [zkinfer.dev]
  resources: [models, inferencerequests, minerpools, validators]
  verbs: [get, list, watch]
{{- end }}

{{/* What edit includes beside that. */}}
{{- define "zkinfer.rules.edit" -}}
- apiGroups: [zkinfer.dev]
  resources: [models, inferencerequests]
  verbs: [create, update, patch, delete, deletecollection]
{{- end }}

{{/* What admin includes beside that. */}}
{{- define "zkinfer.rules.admin" -}}
# A MinerPool starts pods of an image that its author chooses: that is for administrators.
- apiGroups: [zkinfer.dev]
  resources: [minerpools]
  verbs: [create, update, patch, delete, deletecollection]
# A Validator says what an installation accepts, and whom it shows models to: that is for administrators.
- apiGroups: [zkinfer.dev]
  resources: [validators]
  verbs: [create, update, patch, delete, deletecollection]
{{- end }}

{{/* For uploads with a kubeconfig that holds a certificate. */}}
{{- define "zkinfer.rules.upload" -}}
- apiGroups: [zkinfer.dev]
  resources: [artifacts]
  verbs: [create]
{{- end }}
