{{/* The port of a URL, as text. */}}
{{- define "pointsman.portOf" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{ default (ternary "80" "443" (eq $url.scheme "http")) $port }}
{{- end -}}

{{/*
The ports that the service connects to, as a JSON list. Backends without a URL are the hosted ones, on 443, but for
those whose default is this pod itself. Backends that are discovered name ports of their own, if any.
*/}}
{{- define "pointsman.egressPorts" -}}
{{- $ports := list -}}
{{- $here := .Files.Get "files/local-providers.json" | fromJsonArray -}}
{{- range dig "backends" dict .Values.config -}}
{{- $url := coalesce (index . "proxy_url") (index . "url") -}}
{{- $discovery := default dict (index . "discovery") -}}
{{- if $discovery -}}
{{- with index $discovery "port" -}}
{{- if eq "dns" $discovery.type }}{{ $ports = append $ports (toString .) }}{{ end -}}
{{- end -}}
{{- range index $discovery "endpoints" -}}
{{- $ports = append $ports (regexFind "[0-9]+$" .) -}}
{{- end -}}
{{- else if $url -}}
{{- $ports = append $ports (include "pointsman.portOf" $url) -}}
{{- else if not (has .provider $here) -}}
{{- $ports = append $ports "443" -}}
{{- end -}}
{{- end -}}
{{- with dig "telemetry" "otlp" "endpoint" "" .Values.config -}}
{{- $ports = append $ports (include "pointsman.portOf" .) -}}
{{- end -}}
{{- if include "pointsman.discovered" . | fromJsonArray -}}
{{- /* The API server: of its Service, and of what stands behind it. */ -}}
{{- $ports = concat $ports (list "443" "6443") -}}
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
