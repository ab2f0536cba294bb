{{/*
Where rights are given, and to whom: the lists of rules are in _rules.tpl.
*/}}

{{/* The namespaces that are watched, the release's own among them, separated by blanks; nothing: all. */}}
{{- define "zkinfer.namespaces" -}}
{{- with .Values.namespaces }}{{ append . $.Release.Namespace | uniq | sortAlpha | join " " }}{{ end }}
{{- end }}

{{/* A name that each installation of a cluster has for itself: (dict "root" $ "name" …). */}}
{{- define "zkinfer.called" -}}
{{ .name }}{{ if ne .root.Values.controllerClass "zkinfer" }}-{{ .root.Values.controllerClass }}{{ end }}
{{- end }}

{{/* A Role or ClusterRole and its binding to a ServiceAccount: (dict "root" $ "name" … "account" … "namespace" … "rules" (list …)). */}}
{{- define "zkinfer.granted" -}}
{{- $scope := ternary "Cluster" "" (empty .namespace) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}Role
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    app.kubernetes.io/name: zkinfer
rules:
  {{- range .rules }}
  {{- include . $.root | nindent 2 }}
  {{- end }}
---
{{ include "zkinfer.bound" (dict "root" .root "name" .name "role" .name "account" .account "namespace" .namespace) }}
{{- end }}

{{/* The binding alone. */}}
{{- define "zkinfer.bound" -}}
{{- $scope := ternary "Cluster" "" (empty .namespace) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $scope }}RoleBinding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels:
    app.kubernetes.io/name: zkinfer
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $scope }}Role
  name: {{ .role }}
subjects:
  - kind: ServiceAccount
    name: {{ .account }}
    namespace: {{ .root.Release.Namespace }}
{{- end }}
