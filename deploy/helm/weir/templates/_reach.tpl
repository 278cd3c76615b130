{{/*
Where Weir connects to by its configuration, and which of it no rule of the network policy lets through by its port. (Peers the chart
cannot judge: names have no addresses yet.) Where only the environment knows a port, nothing is said.
*/}}

{{/* (what it is, its URL, whose rule lets it through) of each. */}}
{{- define "weir.destinations" -}}
{{- $toml := include "weir.toml" . | fromJson -}}
{{- $state := $toml.state | default dict -}}
{{- $found := list (list "the collector" (dig "telemetry" "otlp_endpoint" "" $toml) "otlp") -}}
{{- $found = append $found (list "the webhook" (dig "alerts" "webhook" "" $toml) "providers") -}}
{{- range $toml.accounts -}}
{{- $found = append $found (list (printf "the account %s" (.name | default "")) (.base_url | default "") "providers") -}}
{{- end -}}
{{- range $name, $text := .Values.providers -}}
{{- $preset := fromToml $text -}}
{{- range prepend ($preset.base_url_when | default list) $preset -}}
{{- $found = append $found (list (printf "the provider of %s" $name) (.base_url | default "") "providers") -}}
{{- end -}}
{{- end -}}
{{- if not .Values.redis.enabled -}}
{{- range concat (list ($state.url | default "")) ($state.cluster | default list) -}}
{{- $found = append $found (list "a server of [state]" . "redis") -}}
{{- end -}}
{{- range dig "sentinel" "nodes" list $state -}}
{{- $found = append $found (list "a server of [state]" (printf "sentinel://%s" .) "redis") -}}
{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end -}}

{{/* The port of a URL, or that of its scheme; empty where a reference may bring another. */}}
{{- define "weir.urlPort" -}}
{{- $usual := dict "http" "80" "https" "443" "redis" "6379" "rediss" "6379" "sentinel" "26379" -}}
{{- $known := regexReplaceAll "\\$\\{[^}]*\\}" . "%" -}}
{{- $server := regexReplaceAll "^.*@" (regexFind "^[a-z]+://[^/?#]*" $known) "" -}}
{{- $port := regexFind ":[0-9]+$" $server | trimPrefix ":" -}}
{{- if not (hasSuffix "%" $server) -}}
{{- $port | default (get $usual (regexFind "^[a-z]+" $known)) -}}
{{- end -}}
{{- end -}}

{{/* Does a rule of networkPolicy.egress.extra let a port through? Of (the rules, the port). A port's name may be any. */}}
{{- define "weir.extraReaches" -}}
{{- $port := index . 1 | int -}}
{{- range index . 0 -}}
{{- if not .ports -}}yes{{- end -}}
{{- range .ports -}}
{{- if or (not .port) (kindIs "string" .port) -}}yes
{{- else if and (ge $port (int .port)) (le $port (int (.endPort | default .port))) -}}yes
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A sentence of each that is shut out. Ports of providers are open to everywhere. */}}
{{- define "weir.shutOut" -}}
{{- $egress := .Values.networkPolicy.egress -}}
{{- $settings := dict "providers" "extra" "otlp" "otlp.ports" "redis" "redis.ports" -}}
{{- $found := list -}}
{{- range include "weir.destinations" . | fromJsonArray -}}
{{- $rule := index . 2 -}}
{{- $port := include "weir.urlPort" (index . 1) -}}
{{- $open := toStrings (concat $egress.providers.ports (get $egress $rule).ports) -}}
{{- if and $port (not (has $port $open)) (not (include "weir.extraReaches" (list $egress.extra $port))) -}}
{{- $what := printf "%s is at the port %s, which no rule of the network policy lets through" (index . 0) $port -}}
{{- $found = append $found (printf "%s: networkPolicy.egress.%s." $what (get $settings $rule)) -}}
{{- end -}}
{{- end -}}
{{- toJson (uniq $found) -}}
{{- end -}}
