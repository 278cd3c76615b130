{{/*
Who may read ConfigMaps is not who may read Secrets, so what is secret stands in `config` by references alone. Each place of a secret
is looked at with its references taken out: what is left is in clear. No message shows what it is about.
*/}}

{{- define "weir.checkSecrets" -}}
{{- $root := index . 0 -}}
{{- $toml := index . 1 -}}
{{- include "weir.literal" (list "server.admin_token" (dig "server" "admin_token" "" $toml)) -}}
{{- range $toml.accounts -}}
{{- $account := printf "accounts.%s" (.name | default "") -}}
{{- include "weir.literal" (list (printf "%s.api_key" $account) (.api_key | default "")) -}}
{{- include "weir.literalHeaders" (list (printf "%s.headers" $account) (.headers | default dict)) -}}
{{- $credentials := .credentials | default dict -}}
{{- range $key := list "secret_access_key" "session_token" "secret" "json" -}}
{{- include "weir.literal" (list (printf "%s.credentials.%s" $account $key) (get $credentials $key)) -}}
{{- end -}}
{{- end -}}
{{- include "weir.literalState" ($toml.state | default dict) -}}
{{- include "weir.literalHeaders" (list "telemetry.otlp_headers" (dig "telemetry" "otlp_headers" dict $toml)) -}}
{{- include "weir.literalWebhook" (dig "alerts" "webhook" "" $toml | toString) -}}
{{- include "weir.literalUsers" (list "" (omit $toml "state")) -}}
{{- range $name, $text := $root.Values.providers -}}
{{- include "weir.literalUsers" (list (printf "providers.%s" $name) (fromToml $text)) -}}
{{- end -}}
{{- end -}}

{{/* A text without its references; as the program has it, `$${` is no reference, nor is what has no name in it. */}}
{{- define "weir.unreferenced" -}}
{{- regexReplaceAll "\\$\\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]+)\\}" (. | replace "$${" "(") "" -}}
{{- end -}}

{{/* All of it comes from references, but for words that say what follows: `Bearer ${...}`, `name=${...}`. */}}
{{- define "weir.literal" -}}
{{- $text := toString (index . 1 | default "") -}}
{{- $rest := regexReplaceAll "^\\s*[A-Za-z][A-Za-z-]{0,15}\\s+(([A-Za-z_-]+=)?\"?\\$\\{)" $text "${1}" -}}
{{- $rest = regexReplaceAll "(^|[;,]\\s*)[A-Za-z_-]+=(\"?\\$\\{)" $rest "${1}${2}" -}}
{{- if regexMatch "[^\\s:;,=\"/+_.-]" (include "weir.unreferenced" $rest) -}}
{{- include "weir.inClear" (index . 0) -}}
{{- end -}}
{{- end -}}

{{- define "weir.inClear" -}}
{{- $way := "put it into a Secret (`secrets`) and write ${file:/etc/weir/secrets/NAME} (if it is none: allowLiteralSecrets: true)" -}}
{{- fail (printf "\n\nweir: `config`: %s stands in clear, or a part of it, and `config` becomes a ConfigMap: %s" . $way) -}}
{{- end -}}

{{- define "weir.literalHeaders" -}}
{{- $where := index . 0 -}}
{{- range $name, $value := index . 1 -}}
{{- if regexMatch "(?i)auth|key|token|secret|cookie|password" $name -}}
{{- include "weir.literal" (list (printf "%s.%s" $where $name) $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of addresses of Redis the user may stand there, but no password. */}}
{{- define "weir.literalState" -}}
{{- range concat (list (.url | default "")) (.cluster | default list) -}}
{{- $login := regexFind "://.*@" (include "weir.unreferenced" .) -}}
{{- if regexMatch ":.*[^@\\s:;,=\"/+_.-]" (trimPrefix "://" $login) -}}
{{- include "weir.inClear" "the password in state" -}}
{{- end -}}
{{- end -}}
{{- range $key := list "password" "data_password" -}}
{{- include "weir.literal" (list (printf "state.sentinel.%s" $key) (dig "sentinel" $key "" $)) -}}
{{- end -}}
{{- end -}}

{{/*
Who knows a webhook's path may post there. So a part of it is a reference; besides there may be words, and names too short to be
a secret (`/services/T0123/B0123/${...}`).
*/}}
{{- define "weir.literalWebhook" -}}
{{- $left := include "weir.unreferenced" . -}}
{{- $path := regexReplaceAll "^[a-z]*://[^/?]*/?" $left "" -}}
{{- if and $path (eq $left (replace "$${" "(" .)) -}}
{{- include "weir.inClear" "alerts.webhook" -}}
{{- end -}}
{{- range regexSplit "[/?&=]" $path -1 -}}
{{- if and (ge (len .) 12) (not (regexMatch "^[a-z]+([-_][a-z]+)*$" .)) -}}
{{- include "weir.inClear" "alerts.webhook" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* No other address has a user or a password: of (where it is, what stands there) all that is below. */}}
{{- define "weir.literalUsers" -}}
{{- $where := index . 0 -}}
{{- $what := index . 1 -}}
{{- if kindIs "map" $what -}}
{{- range $key, $below := $what -}}
{{- include "weir.literalUsers" (list (printf "%s.%s" $where $key | trimPrefix ".") $below) -}}
{{- end -}}
{{- else if kindIs "slice" $what -}}
{{- range $what -}}
{{- include "weir.literalUsers" (list $where .) -}}
{{- end -}}
{{- else if kindIs "string" $what -}}
{{- if regexMatch "://[^/?#\\s]*[^/?#\\s:@][^/?#\\s]*@" (include "weir.unreferenced" $what) -}}
{{- include "weir.inClear" (printf "a user or password in %s" $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}
