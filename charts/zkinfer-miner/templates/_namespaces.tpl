{{/*
The namespaces of the pools, each once, with what is made there for all of its pools together.
*/}}

{{/* A JSON list, in the order of the values: of each its name, its pools, and its settings. */}}
{{- define "zkinfer-miner.namespaces" -}}
{{- $order := list }}
{{- $by := dict }}
{{- range include "zkinfer-miner.pools" . | fromJsonArray }}
{{- $pool := . }}
{{- $settings := pick . "createNamespace" "keepNamespace" "namespaceLabels" "namespaceAnnotations" "quota" "limitRange" "networkPolicies" }}
{{- if hasKey $by .namespace }}
{{- $there := get $by .namespace }}
{{- range $key, $value := $settings }}
{{- if ne ($value | toJson) (get $there.settings $key | toJson) }}
{{- fail (printf "pools: %s and %s share the namespace %s and do not agree on %s" (first $there.pools).name $pool.name $there.name $key) }}
{{- end }}
{{- end }}
{{- $_ := set $there "pools" (append $there.pools .) }}
{{- else }}
{{- $order = append $order .namespace }}
{{- $_ := set $by .namespace (dict "name" .namespace "pools" (list .) "settings" $settings) }}
{{- end }}
{{- end }}
{{- $all := list }}
{{- range $order }}{{ $all = append $all (get $by .) }}{{ end }}
{{- $all | toJson }}
{{- end }}

{{/* Thousandths of a core. */}}
{{- define "zkinfer-miner.millicores" -}}
{{- if hasSuffix "m" . }}{{ trimSuffix "m" . }}{{ else }}{{ round (mulf (float64 .) 1000) 0 | int64 }}{{ end }}
{{- end }}

{{/* Memory in KiB, rounded up: sums of bytes would leave what a template can count. */}}
{{- define "zkinfer-miner.kib" -}}
{{- $units := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 }}
{{- $unit := regexFind "[A-Za-z]+$" . }}
{{- $number := trimSuffix $unit . | int64 }}
{{- $factor := 1 }}{{ if $unit }}{{ $factor = get $units $unit }}{{ end }}
{{- ceil (divf (mulf (float64 $number) (float64 $factor)) 1024) | int64 }}
{{- end }}

{{/* What the quota of a namespace allows, for its workers: (dict "pools" … "headroom" …). */}}
{{- define "zkinfer-miner.hard" -}}
{{- $workers := 0 }}{{ $cpu := 0 }}{{ $memory := 0 }}
{{- range .pools }}
{{- $n := int64 .parallelism }}
{{- $workers = add $workers $n }}
{{- $cpu = add $cpu (mul $n (include "zkinfer-miner.millicores" .resources.cpu | int64)) }}
{{- $memory = add $memory (mul $n (include "zkinfer-miner.kib" .resources.memory | int64)) }}
{{- end }}
{{- $percent := add 100 (int64 .headroom) }}
{{- $workers = div (add (mul $workers $percent) 99) 100 }}
{{- $cpu = printf "%dm" (div (add (mul $cpu $percent) 99) 100) }}
{{- $memory = printf "%dKi" (div (add (mul $memory $percent) 99) 100) }}
{{- /* The scratch space of a worker is the operator's choice. */}}
{{- $scratch := printf "%dGi" (mul 2 $workers) }}
{{- dict "pods" (toString $workers) "requests.cpu" $cpu "limits.cpu" $cpu "requests.memory" $memory "limits.memory" $memory "requests.ephemeral-storage" $scratch "limits.ephemeral-storage" $scratch | toJson }}
{{- end }}

{{/* The most that a container of a namespace may have: as the largest worker, or `helm test`. */}}
{{- define "zkinfer-miner.max" -}}
{{- $cpu := 100 }}{{ $memory := 131072 }}
{{- range .pools }}
{{- $cpu = max $cpu (include "zkinfer-miner.millicores" .resources.cpu | int64) }}
{{- $memory = max $memory (include "zkinfer-miner.kib" .resources.memory | int64) }}
{{- end }}
{{- dict "cpu" (printf "%dm" $cpu) "memory" (printf "%dKi" $memory) | toJson }}
{{- end }}

{{/* Labels of every object. */}}
{{- define "zkinfer-miner.labels" -}}
{{- $own := dict "app.kubernetes.io/name" "zkinfer-miner" "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/managed-by" .Release.Service "app.kubernetes.io/part-of" "zkinfer" "app.kubernetes.io/version" .Chart.AppVersion "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) }}
{{- merge $own .Values.commonLabels | toYaml }}
{{- end }}
