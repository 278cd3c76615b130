{{/*
What the schema cannot say, for it stands between values, or between values and the configuration. Each would go wrong in the
cluster only, some of it at night; what Weir says of its file itself, `weir check` says.
*/}}

{{- define "weir.checks" -}}
{{- $toml := include "weir.toml" . | fromJson -}}
{{- $facts := include "weir.facts" . | fromJson -}}
{{- include "weir.checkState" (list . $toml $facts) -}}
{{- include "weir.checkPorts" $facts.ports -}}
{{- include "weir.checkFiles" (list . $toml) -}}
{{- include "weir.checkScaling" . -}}
{{- include "weir.checkMemory" (list . $toml) -}}
{{- include "weir.checkEnv" . -}}
{{- include "weir.checkNames" . -}}
{{- include "weir.checkImage" .Values.image -}}
{{- include "weir.checkScraping" .Values.monitoring.serviceMonitor -}}
{{- if not .Values.allowLiteralSecrets -}}
{{- include "weir.checkSecrets" (list . $toml) -}}
{{- end -}}
{{- end -}}

{{- define "weir.checkState" -}}
{{- $root := index . 0 -}}
{{- $toml := index . 1 -}}
{{- $facts := index . 2 -}}
{{- $several := or (gt (int $root.Values.replicas) 1) $root.Values.autoscaling.enabled -}}
{{- if and $several (not $facts.shared) -}}
{{- $way := "Add it, or set replicas: 1 and no autoscaling" -}}
{{- fail (printf "\n\nweir: `config` has no [state]: each of several replicas would use the whole of every limit. %s" $way) -}}
{{- end -}}
{{- if $root.Values.redis.enabled -}}
{{- $url := include "weir.trialUrl" $root -}}
{{- if ne (dig "state" "url" "" $toml) $url -}}
{{- fail (printf "\n\nweir: redis.enabled: `config` must have in [state]: url = %q" $url) -}}
{{- end -}}
{{- if not $root.Values.redis.password -}}
{{- fail "\n\nweir: redis.enabled: redis.password is empty: --set redis.password=$(openssl rand -hex 24)" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How the trial Redis is reached. */}}
{{- define "weir.trialUrl" -}}
{{- printf "redis://weir:${file:/etc/weir/secrets/REDIS_PASSWORD}@%s-redis:6379/0" (include "weir.fullname" .) -}}
{{- end -}}

{{- define "weir.checkPorts" -}}
{{- if ne (len (values . | uniq)) 3 -}}
{{- fail "\n\nweir: `config`: listen, admin_listen and metrics_listen in [server] need three ports" -}}
{{- end -}}
{{- end -}}

{{/* Files that the configuration names, and that the chart brings. */}}
{{- define "weir.checkFiles" -}}
{{- $root := index . 0 -}}
{{- $toml := index . 1 -}}
{{- $cert := dig "server" "tls" "cert" "" $toml -}}
{{- $key := dig "server" "tls" "key" "" $toml -}}
{{- if $root.Values.tls.secret -}}
{{- if or (ne $cert "/etc/weir/tls/tls.crt") (ne $key "/etc/weir/tls/tls.key") -}}
{{- $must := "tls = { cert = \"/etc/weir/tls/tls.crt\", key = \"/etc/weir/tls/tls.key\" }" -}}
{{- fail (printf "\n\nweir: tls.secret: `config` must have in [server]: %s" $must) -}}
{{- end -}}
{{- else if hasPrefix "/etc/weir/tls/" $cert -}}
{{- fail "\n\nweir: `config` names a certificate in /etc/weir/tls: set tls.secret to the Secret that has it" -}}
{{- end -}}
{{- if and $root.Values.providers (ne (dig "providers_dir" "" $toml) "/etc/weir/providers") -}}
{{- fail "\n\nweir: providers: `config` must have at its top: providers_dir = \"/etc/weir/providers\"" -}}
{{- end -}}
{{- if and $root.Values.prices (ne (dig "prices" "" $toml) "/etc/weir/config/prices.toml") -}}
{{- fail "\n\nweir: prices: `config` must have at its top: prices = \"/etc/weir/config/prices.toml\"" -}}
{{- end -}}
{{- end -}}

{{- define "weir.checkScaling" -}}
{{- with .Values.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail "\n\nweir: autoscaling: minReplicas is more than maxReplicas" -}}
{{- end -}}
{{- if not (or .cpu.enabled .callsInFlight.enabled .limitsInUse.enabled) -}}
{{- fail "\n\nweir: autoscaling: nothing to scale on: enable cpu, callsInFlight or limitsInUse" -}}
{{- end -}}
{{- if and .cpu.enabled (not (dig "requests" "cpu" "" $.Values.resources)) -}}
{{- fail "\n\nweir: autoscaling.cpu is a share of resources.requests.cpu, which is not set" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
A replica that is full (max_calls streams of 84 KB each as measured, max_buffered bytes of bodies three times, what waits for a
collector, the program itself) must fit its memory limit: else the kernel ends it, and with it every stream it has, just when
there are most.
*/}}
{{- define "weir.checkMemory" -}}
{{- $root := index . 0 -}}
{{- $server := dig "server" dict (index . 1) -}}
{{- $limit := dig "limits" "memory" "" $root.Values.resources -}}
{{- if $limit -}}
{{- $calls := mul ($server.max_calls | default 10000 | int64) 84000 -}}
{{- $bodies := include "weir.bytes" (dict "key" "`config`: server.max_buffered" "text" ($server.max_buffered | default "256MiB")) -}}
{{- $need := add $calls (mul (int64 $bodies) 3) (mul 160 1048576) -}}
{{- $have := include "weir.bytes" (dict "key" "resources.limits.memory" "text" $limit) | int64 -}}
{{- if gt $need $have -}}
{{- $mib := add (div $need 1048576) 1 -}}
{{- $way := printf "a replica that is full takes %dMi. Give it that, or lower max_calls or max_buffered in [server]" $mib -}}
{{- fail (printf "\n\nweir: resources.limits.memory = %q: %s" $limit $way) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "weir.checkEnv" -}}
{{- range .Values.env -}}
{{- if has .name (list "WEIR_REPLICA" "WEIR_CONFIG") -}}
{{- fail (printf "\n\nweir: env: %s is set by the chart" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Services are called so, and their names begin with a letter and have no dots, which a release's may. */}}
{{- define "weir.checkNames" -}}
{{- $name := include "weir.fullname" . -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- $must := "a letter, then letters, digits and -. Take another name for the release, or set fullnameOverride" -}}
{{- fail (printf "\n\nweir: no Service can be called %q: its name must be %s" $name $must) -}}
{{- end -}}
{{- end -}}

{{/* A digest says which image it is: a tag beside it would be passed over, and an upgrade by the tag would change nothing. */}}
{{- define "weir.checkImage" -}}
{{- if and .tag .digest -}}
{{- $way := "Set image.digest to that of the tag, or to \"\" for the tag to count" -}}
{{- fail (printf "\n\nweir: image.tag = %q, and image.digest says which image it is already. %s" .tag $way) -}}
{{- end -}}
{{- end -}}

{{/* The operator takes no monitor that may ask longer than until it asks again. */}}
{{- define "weir.checkScraping" -}}
{{- if .enabled -}}
{{- $interval := include "weir.ms" (dict "key" "monitoring.serviceMonitor.interval" "text" .interval) | int64 -}}
{{- $timeout := include "weir.ms" (dict "key" "monitoring.serviceMonitor.scrapeTimeout" "text" .scrapeTimeout) | int64 -}}
{{- if gt $timeout $interval -}}
{{- $is := printf "scrapeTimeout = %q is longer than interval = %q" .scrapeTimeout .interval -}}
{{- fail (printf "\n\nweir: monitoring.serviceMonitor: %s, which the operator refuses" $is) -}}
{{- end -}}
{{- end -}}
{{- end -}}

