{{/* Names and labels. There is no nameOverride: scrapers and policies know the pods by app.kubernetes.io/name=weir. */}}

{{/* At most 46 characters: with -redis and the hash of a revision that is 63, as long as a label may be. */}}
{{- define "weir.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "weir" .Release.Name -}}
{{- .Release.Name | trunc 46 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-weir" (.Release.Name | trunc 41 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "weir.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "weir.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "weir.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pods are selected by. A Deployment's selector cannot change, so nothing that values say may enter here. */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The trial Redis and the test's pod bear other names, or Weir's Services would send calls to them. */}}
{{- define "weir.redisSelector" -}}
app.kubernetes.io/name: weir-redis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.testSelector" -}}
app.kubernetes.io/name: weir-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What every object bears besides. */}}
{{- define "weir.common" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: weir
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
{{ include "weir.common" . }}
{{- end -}}

{{/* The same, and others that are for this object: (list . others). One that is given twice stands there once. */}}
{{- define "weir.labelsAnd" -}}
{{- merge (dict) (index . 1) (include "weir.labels" (index . 0) | fromYaml) | toYaml -}}
{{- end -}}

{{/* What pods bear besides: nothing that changes with the chart alone, or a new chart would end every stream to change a label. */}}
{{- define "weir.podLabels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/part-of: weir
{{- with merge (dict) .Values.podLabels .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The `job` of this cluster's series, as deploy/prometheus/kubernetes.yml has it: rules and board keep clusters apart by it. */}}
{{- define "weir.job" -}}
{{- printf "weir/%s/%s" .Release.Namespace .Release.Name -}}
{{- end -}}

{{/* What is the same for every container here: nothing of it is needed, so nobody can ask for it. */}}
{{- define "weir.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "weir.podSecurity" -}}
runAsNonRoot: true
{{- with .user }}
runAsUser: {{ int . }}
{{- end }}
{{- with .group }}
runAsGroup: {{ int . }}
fsGroup: {{ int . }}
fsGroupChangePolicy: OnRootMismatch
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}
