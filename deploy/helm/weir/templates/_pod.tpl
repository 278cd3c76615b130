{{/*
Does it live? The metrics listener is asked: plain HTTP whatever TLS and PROXY protocol the clients' listener speaks, and with
nobody else on it. A replica that has as many connections as it takes lets further ones wait: a probe among them would have it
killed for being busy, and all its streams with it.
Is it ready? The clients' listener is asked, as a client would, for that is what is promised; but where each connection must
begin with a PROXY header, which a kubelet does not send, the metrics listener says it as well.
*/}}
{{- define "weir.probes" -}}
{{- $facts := include "weir.facts" . | fromJson -}}
startupProbe:
  httpGet: { path: /livez, port: metrics, scheme: HTTP }
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: {{ int .Values.probes.startupSeconds }}
livenessProbe:
  httpGet: { path: /livez, port: metrics, scheme: HTTP }
  periodSeconds: {{ int .Values.probes.liveness.periodSeconds }}
  timeoutSeconds: {{ int .Values.probes.liveness.timeoutSeconds }}
  failureThreshold: {{ int .Values.probes.liveness.failureThreshold }}
readinessProbe:
  {{- if $facts.proxyProtocol }}
  httpGet: { path: /readyz, port: metrics, scheme: HTTP }
  {{- else }}
  # (A kubelet does not look at whose the certificate is.)
  httpGet: { path: /readyz, port: client, scheme: {{ ternary "HTTPS" "HTTP" $facts.tls }} }
  {{- end }}
  periodSeconds: {{ int .Values.probes.readiness.periodSeconds }}
  timeoutSeconds: {{ int .Values.probes.readiness.timeoutSeconds }}
  failureThreshold: {{ int .Values.probes.readiness.failureThreshold }}
{{- end -}}

{{/* Whole directories: of a file that is mounted by itself (subPath) a change never arrives. */}}
{{- define "weir.mounts" -}}
- name: config
  mountPath: /etc/weir/config
  readOnly: true
{{- if include "weir.secretSources" . }}
- name: secrets
  mountPath: /etc/weir/secrets
  readOnly: true
{{- end }}
{{- if .Values.tls.secret }}
- name: tls
  mountPath: /etc/weir/tls
  readOnly: true
{{- end }}
{{- if .Values.providers }}
- name: providers
  mountPath: /etc/weir/providers
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "weir.volumes" -}}
- name: config
  configMap:
    name: {{ include "weir.fullname" . }}
{{- with include "weir.secretSources" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- with .Values.tls.secret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- if .Values.providers }}
- name: providers
  configMap:
    name: {{ include "weir.fullname" . }}-providers
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The Secrets whose keys are files in /etc/weir/secrets. */}}
{{- define "weir.secretSources" -}}
{{- $sources := list -}}
{{- if .Values.secrets.values -}}
{{- $sources = append $sources (dict "secret" (dict "name" (include "weir.fullname" .))) -}}
{{- end -}}
{{- range .Values.secrets.files -}}
{{- $sources = append $sources (dict "secret" (dict "name" .)) -}}
{{- end -}}
{{- if .Values.redis.enabled -}}
{{- $item := dict "key" "REDIS_PASSWORD" "path" "REDIS_PASSWORD" -}}
{{- $sources = append $sources (dict "secret" (dict "name" (printf "%s-redis" (include "weir.fullname" .)) "items" (list $item))) -}}
{{- end -}}
{{- with $sources -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{/* Evenly over zones, and there over nodes. Each rollout counts its own pods, or the old ones would be in the way. */}}
{{- define "weir.spread" -}}
{{- with .Values.topologySpread }}
{{- range $key, $when := dict "topology.kubernetes.io/zone" .zones "kubernetes.io/hostname" .hosts }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: {{ $when }}
  labelSelector:
    matchLabels:
      {{- include "weir.selector" $ | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end -}}
