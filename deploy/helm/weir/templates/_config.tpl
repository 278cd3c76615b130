{{/*
What the chart has to know of Weir's configuration it reads from there: ports, TLS, how long a replica takes to end. A setting
has one place then, and what the pod is told cannot differ from what Weir does.
*/}}

{{- define "weir.toml" -}}
{{- if not (trim .Values.config) -}}
{{- fail "\n\nweir: `config` is empty: put the text of a weir.toml there (--set-file config=weir.toml)" -}}
{{- end -}}
{{- $toml := fromToml .Values.config -}}
{{- if hasKey $toml "Error" -}}
{{- fail (printf "\n\nweir: `config` is no TOML: %s" $toml.Error) -}}
{{- end -}}
{{- toJson $toml -}}
{{- end -}}

{{/* The port of an address such as "0.0.0.0:8080" or "[::]:8080"; of `at`, which stands at `key`. */}}
{{- define "weir.port" -}}
{{- if not (regexMatch "^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+$" .at) -}}
{{- fail (printf "\n\nweir: `config`: %s = %q: the chart must know its port, so write an IP address and a port" .key .at) -}}
{{- end -}}
{{- regexFind "[0-9]+$" .at -}}
{{- end -}}

{{- define "weir.isLoopback" -}}
{{- if or (hasPrefix "127." .) (hasPrefix "[::1]" .) -}}yes{{- end -}}
{{- end -}}

{{/* Whole seconds, rounded up, of such a duration. */}}
{{- define "weir.seconds" -}}
{{- div (add (include "weir.ms" . | int64) 999) 1000 -}}
{{- end -}}

{{/* The milliseconds of a duration such as "1h 30m"; of `text`, which stands at `key`. */}}
{{- define "weir.ms" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- range $name, $unit := dict "msec" "ms" "millis" "ms" "sec" "s" "secs" "s" "second" "s" "seconds" "s" "min" "m" "mins" "m" "minute" "m"
  "minutes" "m" "hr" "h" "hrs" "h" "hour" "h" "hours" "h" "day" "d" "days" "d" -}}
{{- $_ := set $units $name (get $units $unit) -}}
{{- end -}}
{{- $text := toString .text -}}
{{- if not (regexMatch "^\\s*([0-9]+\\s*[a-z]+\\s*)+$" $text) -}}
{{- fail (printf "\n\nweir: %s = %q: expected a duration such as \"5m\" or \"1h 30m\"" .key $text) -}}
{{- end -}}
{{- $ms := 0 -}}
{{- range regexFindAll "[0-9]+\\s*[a-z]+" $text -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- if not (hasKey $units $unit) -}}
{{- fail (printf "\n\nweir: %s = %q: the chart does not know the unit %q" $.key $text $unit) -}}
{{- end -}}
{{- $ms = add $ms (mul (regexFind "^[0-9]+" . | int64) (get $units $unit)) -}}
{{- end -}}
{{- $ms -}}
{{- end -}}

{{/* Bytes of a size of Weir's ("256MiB", 1024) or of Kubernetes' ("2Gi", "1500M"); of `text`, which stands at `key`. */}}
{{- define "weir.bytes" -}}
{{- $text := toString .text -}}
{{- /* (A whole number has become a float on its way through JSON.) */ -}}
{{- if kindIs "float64" .text -}}{{- $text = toString (int64 .text) -}}{{- end -}}
{{- $unit := regexFind "[A-Za-z]*$" $text | lower | trimSuffix "b" -}}
{{- $powers := dict "" 1 "k" 1000 "m" 1000000 "g" 1000000000 "t" 1000000000000 -}}
{{- $powers = merge $powers (dict "ki" 1024 "mi" 1048576 "gi" 1073741824 "ti" 1099511627776) -}}
{{- if not (and (regexMatch "^[0-9]+(\\.[0-9]+)?\\s*[A-Za-z]*$" $text) (hasKey $powers $unit)) -}}
{{- fail (printf "\n\nweir: %s = %q: expected a size such as \"256MiB\" or \"2Gi\"" .key $text) -}}
{{- end -}}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $powers $unit) | int64 -}}
{{- end -}}

{{/* What the templates ask of it, as JSON; the defaults are Weir's own. */}}
{{- define "weir.facts" -}}
{{- $toml := include "weir.toml" . | fromJson -}}
{{- $server := $toml.server | default dict -}}
{{- $listen := $server.listen | default "0.0.0.0:8080" -}}
{{- $admin := $server.admin_listen | default "127.0.0.1:8081" -}}
{{- $metrics := $server.metrics_listen | default "" -}}
{{- if or (not $metrics) (include "weir.isLoopback" $metrics) -}}
{{- fail "\n\nweir: `config`: [server] needs metrics_listen = \"0.0.0.0:9464\" (or another port): probes and scrapers ask there" -}}
{{- end -}}
{{- if include "weir.isLoopback" $listen -}}
{{- fail (printf "\n\nweir: `config`: server.listen = %q: nobody reaches that in a pod; write \"0.0.0.0:8080\" or leave it out" $listen) -}}
{{- end -}}
{{- $ports := dict "client" (include "weir.port" (dict "key" "server.listen" "at" $listen) | int) -}}
{{- $_ := set $ports "admin" (include "weir.port" (dict "key" "server.admin_listen" "at" $admin) | int) -}}
{{- $_ := set $ports "metrics" (include "weir.port" (dict "key" "server.metrics_listen" "at" $metrics) | int) -}}
{{- $delay := include "weir.seconds" (dict "key" "`config`: server.drain_delay" "text" ($server.drain_delay | default "5s")) | int -}}
{{- $timeout := include "weir.seconds" (dict "key" "`config`: server.drain_timeout" "text" ($server.drain_timeout | default "5m")) | int -}}
{{- $facts := dict "ports" $ports "adminOpen" (not (include "weir.isLoopback" $admin)) -}}
{{- $_ := set $facts "tls" (not (empty (dig "tls" "cert" "" $server))) -}}
{{- $_ := set $facts "proxyProtocol" ($server.proxy_protocol | default false) -}}
{{- $_ := set $facts "drain" (add $delay $timeout) -}}
{{- $_ := set $facts "shared" (hasKey $toml "state") -}}
{{- $_ := set $facts "otlp" (not (empty (dig "telemetry" "otlp_endpoint" "" $toml))) -}}
{{- toJson $facts -}}
{{- end -}}

{{/* The part of the file that only a restart changes. The rest a replica takes up by itself. */}}
{{- define "weir.fixed" -}}
{{- $toml := include "weir.toml" . | fromJson -}}
{{- $fixed := dict "server" (pick ($toml.server | default dict) "listen" "admin_listen" "metrics_listen" "drain_delay" "drain_timeout") -}}
{{- $_ := set $fixed "state" (omit ($toml.state | default dict) "on_outage") -}}
{{- $_ := set $fixed "telemetry" (omit ($toml.telemetry | default dict) "sample_ratio" "trust_traceparent" "capture_content") -}}
{{- toJson $fixed -}}
{{- end -}}
