"""(who must notice, the file, what stands there, what it becomes, what is said then)"""

POD, NAMES, CONFIG, CHECKS = "templates/_pod.tpl", "templates/_names.tpl", "templates/_config.tpl", "templates/_checks.tpl"
WEIR, SERVICE, POLICY = "templates/deployment.yaml", "templates/service.yaml", "templates/networkpolicy.yaml"
SCALER, WATCH, FILES = "templates/horizontalpodautoscaler.yaml", "templates/monitoring.yaml", "templates/configmap.yaml"
SECRETS, NOTES = "templates/_secrets.tpl", "templates/NOTES.txt"
BUDGET, READY, SCHEMA = "templates/poddisruptionbudget.yaml", "templates/tests/ready.yaml", "values.schema.json"

COPIES = [
    ("Chart.yaml", 'appVersion: "0.1.0"', 'appVersion: "0.0.9"', "appVersion is not"),
    ("files/redis-users.acl", "+evalsha", "+@all", "redis-users.acl is not what it is a copy of"),
    ("templates/redis.yaml", ".Values.redis.password | b64enc", "randAlphaNum 20 | b64enc", "redis.yaml uses randAlphaNum"),
    ("README.md", "| `podLabels`", "| podLabels", "no row for the value podLabels"),
    ("values.yaml", 'drain_delay = "150s"', 'drain_delay = "30s"', 'does not say "150s" of AWS'),
    ("values.yaml", "connection_termination.enabled=false,", "", "connection_termination.enabled=false of AWS"),
    ("values.yaml", "podLabels:", "labelsOfPods:", "tells of podLabels, which is no value"),
]

VALID = [
    (WEIR, "revisionHistoryLimit:", "revisionHistoryLimits:", "'revisionHistoryLimits' was unexpected"),
    (WEIR, "containerPort: {{ int $facts.ports.client }}", "containerPort: client", "is not of type 'integer'"),
    (WEIR, "fieldPath: metadata.name", "fieldPaths: metadata.name", "'fieldPath' is a required property"),
    (WATCH, "scrapeTimeout:", "scrapeTimout:", "'scrapeTimout' was unexpected"),
    ("files/rules/recording.yml", "      - record: weir:errors", "      - recording: weir:errors", "'recording' was unexpected"),
    (POLICY, "except:", "excepted:", "'excepted' was unexpected"),
]

RENDERED = {
    "secrets": [
        (FILES, "data:\n", "data:\n  k: {{ toJson .Values.secrets.values | quote }}\n", "a secret stands in ConfigMap"),
        (WEIR, "/weir.toml\"]", "/weir.toml\", {{ .Values.redis.password | b64enc | quote }}]", "a secret stands in Deployment"),
        (NOTES, "{{- if .Values.redis.enabled }}", "{{ .Values.redis.password }}{{ if true }}",
         "a secret stands in the notes"),
        ("templates/secret.yaml", "b64enc", "b64enc | b64enc", "a secret stands in no Secret"),
        ("templates/redis.yaml", "kind: Secret", "kind: ConfigMap", "a secret stands in ConfigMap weir-redis"),
    ],
    "rights": [
        (NAMES, "runAsNonRoot: true", "runAsNonRoot: false", "it may be root, or make any system call"),
        (NAMES, "  type: RuntimeDefault", "  type: Unconfined", "it may be root, or make any system call"),
        (NAMES, "runAsUser: {{ int . }}", "runAsUser: 0", "the user is 0"),
        (READY, "automountServiceAccountToken: false", "automountServiceAccountToken: true", "Pod: it has a token of the API server"),
        (WEIR, "enableServiceLinks: false", "enableServiceLinks: true", "Services add variables to its environment"),
        (NAMES, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "may more than it needs"),
        (NAMES, "drop: [ALL]", "drop: [NET_RAW]", "may more than it needs"),
        (NAMES, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may more than it needs"),
        (NAMES, "privileged: false", "privileged: true", "may more than it needs"),
        (READY, "limits: { memory: 64Mi }", "limits: { cpu: 1 }", "may take all memory"),
    ],
    "patience": [
        (WEIR, "add ($facts.drain | int) 10", "add ($facts.drain | int) 2", "s to end, where Weir takes up to"),
        (CONFIG, '$server.drain_timeout | default "5m"', '"5m"', "s to end, where Weir takes up to"),
        (CONFIG, '"s" 1000 "m" 60000', '"s" 1000 "m" 6000', "s to end, where Weir takes up to"),
        (WEIR, "          args: [", "          lifecycle: { preStop: { sleep: { seconds: 5 } } }\n          args: [",
         "a hook delays SIGTERM"),
        (WEIR, "maxUnavailable: 0", "maxUnavailable: 1", "a rollout takes replicas away before others are there"),
    ],
    "picked": [
        (NAMES, "app.kubernetes.io/name: weir-test", "app.kubernetes.io/name: weir", "selects the pods of ['Deployment', 'Pod']"),
        (NAMES, "app.kubernetes.io/name: weir-redis", "app.kubernetes.io/name: weir", "selects the pods of ['Deployment', 'StatefulSet']"),
        (BUDGET, '"weir.selector"', '"weir.redisSelector"', "PodDisruptionBudget weir selects the pods of"),
        (POD, '"weir.selector"', '"weir.redisSelector"', "Deployment weir selects the pods of"),
    ],
    "probes": [
        (WEIR, "- name: metrics\n", "- name: metering\n", "the container has the ports"),
        (WEIR, "int $facts.ports.metrics", "add 1 $facts.ports.metrics", "and Weir listens at"),
        (WEIR, "{{- if $facts.adminOpen }}", "{{- if true }}", "and Weir listens at"),
        (CONFIG, '$server.listen | default "0.0.0.0:8080"', '"0.0.0.0:8080"', "and Weir listens at"),
        (POD, "path: /readyz, port: client,", "path: /readyz, port: clients,", "asks the port clients, which does not exist"),
        (POD, "path: /livez, port: metrics", "path: /readyz, port: metrics", "livenessProbe asks /readyz"),
        (POD, "{{- if $facts.proxyProtocol }}", "{{- if false }}", "begins without the PROXY header that the listener wants"),
        (POD, 'ternary "HTTPS" "HTTP" $facts.tls', '"HTTPS"', "readinessProbe speaks HTTPS to client"),
        (POD, "livenessProbe:\n  httpGet: { path: /livez, port: metrics", "livenessProbe:\n  httpGet: { path: /livez, port: client",
         "a replica that is full of connections is killed"),
        (POD, "{{- if $facts.proxyProtocol }}", "{{- if true }}", "ready whether its clients' listener answers or not"),
    ],
    "services": [
        (SERVICE, "component: admin\nspec:\n  type: ClusterIP", "component: admin\nspec:\n  type: LoadBalancer",
         "is there from outside the cluster"),
        (SERVICE, "targetPort: metrics", "targetPort: metering", "leads to a port that the pod does not have"),
        (SERVICE, "      targetPort: client\n      protocol: TCP\n",
         "      targetPort: client\n    - name: admin\n      port: 8081\n      targetPort: admin\n      protocol: TCP\n",
         "'client': ['client', 'admin']"),
        (SERVICE, "{{- if $facts.adminOpen }}", "{{- if false }}",
         "and not {'client': ['client'], 'metrics': ['metrics'], 'admin': ['admin']}"),
        (SERVICE, 'name: {{ ternary "https" "http" $facts.tls }}', "name: http", "the port's name does not say what is spoken there"),
        (SERVICE, "type: {{ .Values.service.type }}", "type: ClusterIP", "it is a ClusterIP"),
    ],
    "balanced": [
        (SERVICE, "{{- with .Values.service.annotations }}", "{{- with dict }}", "cuts what an unhealthy replica still answers"),
        (SERVICE, "{{- with .Values.service.annotations }}", "{{- with dict }}", "is shorter than a replica takes to end"),
        (SERVICE, "{{- with .Values.service.annotations }}", "{{- with dict }}", "does not ask whether a replica is ready"),
        (FILES, "{{- .Values.config | trimSuffix", '{{- .Values.config | replace "150s" "30s" | trimSuffix',
         "still sends when a replica's listener is closed"),
    ],
    "files": [
        (POD, "{{- with .Values.tls.secret }}\n- name: tls", "{{- with .Values.tls.secret }}\n- name: cert", "not every volume is mounted"),
        (POD, "mountPath: /etc/weir/secrets", "mountPath: /etc/weir/secret", "nothing is mounted where /etc/weir/secrets/"),
        (POD, "mountPath: /etc/weir/config\n", "mountPath: /etc/weir/config\n  subPath: x\n",
         "a change of a file that is mounted by itself"),
        (POD, "mountPath: /etc/weir/secrets\n  readOnly: true", "mountPath: /etc/weir/secrets", "a mount may be written to"),
        (FILES, "data:\n  weir.toml", "immutable: true\ndata:\n  weir.toml",
         "the configuration's ConfigMap is not there, or cannot change"),
    ],
    "scaling": [
        (WEIR, "{{- if not .Values.autoscaling.enabled }}", "{{- if true }}", "there are two who say how many replicas there are"),
        (SCALER, "    kind: Deployment\n    name: {{ $fullname }}", "    kind: Deployment\n    name: other", "it scales something else"),
        (SCALER, "type: AverageValue\n          {{- $replicas", "type: Value\n          {{- $replicas",
         "would be chased up to maxReplicas"),
        (SCALER, "{ type: Pods, value: 1,", "{ type: Pods, value: 4,", "replicas are ended faster than their streams"),
    ],
    "policies": [
        (POLICY, "{{- if .Values.networkPolicy.enabled }}", "{{- if true }}", "there is a policy though none was asked for"),
        (POLICY, "policyTypes: [Ingress, Egress]\n  # Probes", "policyTypes: [Ingress]\n  # Probes", "it is not about both ways"),
        (POLICY, "      from:\n        {{- toYaml . | nindent 8 }}\n    {{- end }}\n    {{- end }}\n  egress:",
         "    {{- end }}\n    {{- end }}\n  egress:", "anybody reaches the ports {8081}"),
        (POLICY, "port: {{ int $facts.ports.client }}, ", "port: 80, ", "are not Weir's"),
        (POLICY, "port: {{ int $facts.ports.client }}, ", "port: {{ int $facts.ports.metrics }}, ", "nobody may call"),
        (POLICY, "{{- if $policy.egress.metadata.enabled }}", "{{- if true }}", "the metadata server is in reach"),
        (POLICY, "cidr: 0.0.0.0/0", "cidr: 10.0.0.0/8", "providers are out of reach"),
    ],
    "monitoring": [
        (WATCH, "component: metrics", "component: client", "it scrapes ["),
        (WATCH, '{{ include "weir.job" $ | quote }}', "gateway", "and rules know Weir's by its name"),
        (WATCH, "{{- if .enabled }}\napiVersion", "{{- if true }}\napiVersion", "there is a ServiceMonitor though none was asked for"),
        ("files/rules/alerts.yml", "for: 1m", "for: 2m", "the rules are not those of deploy/prometheus"),
        ("files/dashboards/weir.json", '"title": "', '"title": "Our ', "the board is not that of deploy/grafana"),
        (WATCH, "{{- with .Values.monitoring.dashboard }}\n{{- if .enabled }}", "{{- with .Values.monitoring.dashboard }}\n{{- if true }}",
         "there is a board though none was asked for"),
    ],
    "whole": [
        (WATCH, "name: {{ $fullname }}-{{ $name }}", "name: {{ $fullname }}-rules", "two objects have one name"),
        (SERVICE, "namespace: {{ .Release.Namespace }}\n", "namespace: default\n", "has another namespace, or lacks labels"),
        ("templates/redis.yaml", "{{- with .Values.commonLabels }}", "{{- with dict }}", "StatefulSet: its pods lack labels"),
        (NAMES, "merge (dict) .Values.podLabels .Values.commonLabels", ".Values.podLabels", "Deployment: its pods lack labels"),
        (NOTES, '{{ include "weir.image" . }}', "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}",
         "the notes tell of another image"),
        (FILES, "{{- .Values.config | trimSuffix", '{{- .Values.config | replace "gpt" "gtp" | trimSuffix',
         "weir.toml is not what was given"),
    ],
    "identities": [
        (POLICY, "{{- if $policy.egress.metadata.enabled }}", "{{- if false }}", "169.254.169.254 is out of reach, though it is wanted"),
        ("values.yaml", ', "fd00:ec2::23/128"]', "]", "fd00:ec2::23 is out of reach, though it is wanted"),
    ],
    "selectors": [
        (NAMES, "instance: {{ .Release.Name }}\n{{- end -}}\n\n{{/* The trial",
         "instance: {{ .Release.Name }}\n{{- with .Values.fullnameOverride }}\nx: {{ . }}\n{{- end }}\n{{- end -}}\n\n{{/* The trial",
         "they differ"),
        (NAMES, 'name: weir-redis\n', 'name: weir-redis\nx: "1"\n', "Redis' is not the two labels that do not change"),
    ],
    "rolled": [
        (WEIR, 'include "weir.fixed" . | sha256sum', ".Values.config | sha256sum", "pods are replaced for what a reload takes up"),
        (CONFIG, '| default dict) "on_outage")', "| default dict))", "pods are replaced for what a reload takes up"),
        (CONFIG, '{{- $_ := set $fixed "state"', '{{- $_ := set dict "state"', "pods go on with what only a restart changes"),
        (CONFIG, '"metrics_listen" "drain_delay" "drain_timeout")', '"metrics_listen")', "what only a restart changes of how they end"),
        (WEIR, '{{- else if eq .Values.restartOnConfigChange "always" }}', "{{- else }}", "pods are replaced though they never should be"),
        (WEIR, "list .Values.config .Values.prices", "list .Values.prices", "pods are not replaced though they always should be"),
        (WEIR, '"weir.podLabels"', '"weir.labels"', "a new version of the chart replaces pods for a label"),
    ],
    "named": [
        (NAMES, "trunc 41", "trunc 60", "is no name"),
        (NAMES, 'printf "%s-weir"', 'printf "%s-gw"', "does not say what it is"),
    ],
}

# What the chart refuses by itself, taken away.
REFUSED = [
    (SCHEMA, '"additionalProperties": false', '"additionalProperties": true', "a typo deep below: it was taken"),
    (SCHEMA, '"propertyNames":', '"x-names":', "a file that is no provider's: refused, but for"),
    (SCHEMA, '"^$|^[A-Za-z0-9_-]{16,}$"', '""', "a Redis for who can guess: it was taken"),
    (CHECKS, '{{- include "weir.checkState" (list . $toml $facts) -}}', "", "several that count apart: it was taken"),
    (CHECKS, '{{- include "weir.checkPorts" $facts.ports -}}', "", "one port for two: it was taken"),
    (CHECKS, '{{- include "weir.checkFiles" (list . $toml) -}}', "", "a certificate that is not there: it was taken"),
    (CHECKS, '{{- include "weir.checkScaling" . -}}', "", "nothing to scale on: it was taken"),
    (CHECKS, '{{- include "weir.checkMemory" (list . $toml) -}}', "", "a full replica is killed: it was taken"),
    (CHECKS, '{{- include "weir.checkEnv" . -}}', "", "another name for the replica: it was taken"),
    (CHECKS, '{{- include "weir.checkNames" . -}}', "", "a release whose name begins with a digit: it was taken"),
    (CHECKS, '{{- include "weir.checkImage" .Values.image -}}', "", "a tag that changes nothing: it was taken"),
    (CHECKS, '{{- include "weir.checkScraping" .Values.monitoring.serviceMonitor -}}', "",
     "asked longer than until the next time: it was taken"),
    (CHECKS, 'include "weir.ms"', 'include "weir.seconds"', "the same by a little: it was taken"),
    (CHECKS, '{{- include "weir.checkSecrets" (list . $toml) -}}', "", "a key in clear: it was taken"),
    (SECRETS, '{{- include "weir.literalWebhook" (dig "alerts" "webhook" "" $toml | toString) -}}', "", "a webhook in clear: it was taken"),
    (SECRETS, "ge (len .) 12", "ge (len .) 120", "a part of a webhook in clear: it was taken"),
    (SECRETS, '. | replace "$${" "("', ".", "a webhook that only looks like a reference: it was taken"),
    (SECRETS, '{{- include "weir.literalUsers" (list "" (omit $toml "state")) -}}', "", "a password in an address: it was taken"),
    (SECRETS, "(fromToml $text)", "dict", "a provider's password in clear: it was taken"),
    (SECRETS, '(include "weir.unreferenced" $rest)', '(ternary "" $rest (contains "${" $rest))', "a part of a key in clear: it was taken"),
]

TABLE = [
    *(("copies", *row) for row in COPIES),
    *(("valid", *row) for row in VALID),
    *((check, *row) for check, rows in RENDERED.items() for row in rows),
    *(("refused", *row) for row in REFUSED),
]
