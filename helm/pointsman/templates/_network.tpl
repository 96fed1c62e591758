{{/* The port of a URL, as text. */}}
{{- define "pointsman.portOf" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ default (ternary "80" "443" (eq $url.scheme "http")) $port }}
{{- end -}}

{{/*
The ports that the service connects to, as a JSON list. Backends without a URL are the hosted ones, on 443, but for
those whose default is this pod itself.
*/}}
{{- define "pointsman.egressPorts" -}}
{{- $ports := list -}}
{{- $here := list "simulator" "vllm" "sglang" "llamacpp" "ollama" "ollama_compatible" -}}
{{- range dig "backends" dict .Values.config -}}
{{- $url := coalesce (index . "proxy_url") (index . "url") -}}
{{- if $url -}}
{{- $ports = append $ports (include "pointsman.portOf" $url) -}}
{{- else if not (has .provider $here) -}}
{{- $ports = append $ports "443" -}}
{{- end -}}
{{- end -}}
{{- with dig "telemetry" "otlp" "endpoint" "" .Values.config -}}
{{- $ports = append $ports (include "pointsman.portOf" .) -}}
{{- end -}}
{{ $ports | uniq | sortAlpha | toJson }}
{{- end -}}

{{/* The rule for resolving names. */}}
{{- define "pointsman.dnsEgress" -}}
{{- with .Values.networkPolicy.dnsTo -}}
- ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
  to:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- end }}
