{{/*
The pools as they shall be, each complete: entries over defaults, those with `count` unfolded. What no schema can say of one
entry alone is refused here, by the pool's name.
*/}}

{{/* A JSON list, in the order of the values. */}}
{{- define "zkinfer-miner.pools" -}}
{{- $all := list }}
{{- $seen := dict }}
{{- $identities := dict }}
{{- range .Values.pools }}
{{- $entry := . }}
{{- $names := list .name }}
{{- if hasKey . "count" }}
{{- $names = list }}
{{- range $i := untilStep 1 (add1 (int .count) | int) 1 }}
{{- $names = append $names (printf "%s-%d" $entry.name $i) }}
{{- end }}
{{- end }}
{{- range $names }}
{{- $pool := include "zkinfer-miner.pool" (dict "root" $ "entry" $entry "name" .) | fromJson }}
{{- $id := printf "%s/%s" $pool.namespace $pool.name }}
{{- if hasKey $seen $id }}
{{- fail (printf "pools: there are two of %s" $id) }}
{{- end }}
{{- $_ := set $seen $id true }}
{{- with $pool.identity }}
{{- with get $identities . }}
{{- fail (printf "pools: %s and %s have the same identity, and only one pool can prove it" . $id) }}
{{- end }}
{{- $_ := set $identities . $id }}
{{- end }}
{{- $all = append $all $pool }}
{{- end }}
{{- end }}
{{- $all | toJson }}
{{- end }}

{{/* One of them: (dict "root" $ "entry" … "name" …). */}}
{{- define "zkinfer-miner.pool" -}}
{{- $pool := dict }}
{{- range $key, $value := .root.Values.defaults }}
{{- $_ := set $pool $key $value }}
{{- end }}
{{- range $key, $value := omit .entry "count" }}
{{- if and (kindIs "map" $value) (kindIs "map" (get $pool $key)) }}
{{- $both := dict }}
{{- range $k, $v := get $pool $key }}{{ $_ := set $both $k $v }}{{ end }}
{{- range $k, $v := $value }}{{ $_ := set $both $k $v }}{{ end }}
{{- $_ := set $pool $key $both }}
{{- else }}
{{- $_ := set $pool $key $value }}
{{- end }}
{{- end }}
{{- $_ := set $pool "name" .name }}
{{- if not $pool.namespace }}
{{- $_ := set $pool "namespace" (printf "%s%s" $pool.namespacePrefix .name) }}
{{- end }}
{{- $_ := set $pool "resources" (dict "cpu" (include "zkinfer-miner.amount" $pool.resources.cpu) "memory" (include "zkinfer-miner.amount" $pool.resources.memory)) }}
{{- if and .root.Values.priorityClass.create (not $pool.pod.priorityClassName) }}
{{- $_ := set $pool "pod" (merge (dict "priorityClassName" .root.Values.priorityClass.name) $pool.pod) }}
{{- end }}
{{- $who := printf "pool %s/%s" $pool.namespace $pool.name }}
{{- range tuple "name" "namespace" }}
{{- if gt (len (get $pool .)) 63 }}
{{- fail (printf "%s: its %s has more than 63 characters" $who .) }}
{{- end }}
{{- end }}
{{- if eq $pool.namespace .root.Values.operatorNamespace }}
{{- fail (printf "%s: that is the operator's namespace, and quota and network policies there would be the operator's too" $who) }}
{{- end }}
{{- if not $pool.image }}
{{- fail (printf "%s: image is required: name@sha256:..., here or in defaults" $who) }}
{{- end }}
{{- if not (or $pool.allowUnpinnedImage (regexMatch "@sha256:[0-9a-f]{64}$" $pool.image)) }}
{{- fail (printf "%s: image must be pinned by digest (name@sha256:...), unless allowUnpinnedImage is set" $who) }}
{{- end }}
{{- if gt (int $pool.warm) (int $pool.parallelism) }}
{{- fail (printf "%s: warm must not be more than parallelism" $who) }}
{{- end }}
{{- if and $pool.possession (not $pool.identity) }}
{{- fail (printf "%s: possession needs an identity" $who) }}
{{- end }}
{{- if and $pool.hotkey (not $pool.identity) }}
{{- fail (printf "%s: hotkey needs an identity, whose key signs the binding" $who) }}
{{- end }}
{{- if and $pool.hotkeyBinding (not $pool.hotkey) }}
{{- fail (printf "%s: hotkeyBinding needs a hotkey" $who) }}
{{- end }}
{{- $pool | toJson }}
{{- end }}

{{/* The spec of its MinerPool. */}}
{{- define "zkinfer-miner.spec" -}}
{{- $spec := pick . "image" "allowUnpinnedImage" "parallelism" "warm" "resources" "allowedNamespaces" "drain" "controllerClass" }}
{{- range $key := tuple "identity" "possession" "hotkey" "hotkeyBinding" "keyRotations" "queueName" "pod" }}
{{- with get $ $key }}{{ $_ := set $spec $key . }}{{ end }}
{{- end }}
{{- $spec | toYaml }}
{{- end }}

{{/* An amount as a text: Helm reads whole numbers as floating ones. */}}
{{- define "zkinfer-miner.amount" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ printf "%d" (int64 .) }}{{ end }}
{{- end }}
