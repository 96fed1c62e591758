{{/* What is derived from the configuration file. */}}

{{/* host:port, with brackets where IPv6 needs them. */}}
{{- define "pointsman.listen" -}}
{{- $host := index . 0 -}}
{{ ternary (printf "[%s]" $host) $host (contains ":" $host) }}:{{ int (index . 1) }}
{{- end -}}

{{/* The whole file: the values' config, and what the chart itself decides. */}}
{{- define "pointsman.config" -}}
{{- $server := dict "listen" (include "pointsman.listen" (list .Values.bindAddress .Values.ports.grpc)) -}}
{{- with .Values.tls -}}
{{- if .secretName -}}
{{- $tls := dict "certificate_file" "/etc/pointsman/tls/tls.crt" "key_file" "/etc/pointsman/tls/tls.key" -}}
{{- if .clientCaKey -}}
{{- $_ := set $tls "client_ca_file" (printf "/etc/pointsman/tls/%s" .clientCaKey) -}}
{{- end -}}
{{- $_ := set $server "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- $places := dict
  "server" $server
  "admin" (dict "listen" (include "pointsman.listen" (list "127.0.0.1" .Values.ports.admin)))
  "ops" (dict "listen" (include "pointsman.listen" (list .Values.bindAddress .Values.ports.ops))) -}}
{{- mergeOverwrite (deepCopy .Values.config) $places | toYaml -}}
{{- end -}}

{{/* Seconds from SIGTERM to the end at most; the defaults are those of the service. */}}
{{- define "pointsman.drainSeconds" -}}
{{- $drain := dig "server" "drain" dict .Values.config -}}
{{- $delay := dig "delay_s" 5.0 $drain -}}
{{- $grace := dig "grace_s" 600.0 $drain -}}
{{- $flush := dig "flush_s" 5.0 $drain -}}
{{ ceil (addf $delay $grace $flush) | int }}
{{- end -}}

{{- define "pointsman.gracePeriod" -}}
{{- $least := add (include "pointsman.drainSeconds" .) .Values.preStopSeconds -}}
{{- $given := int .Values.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given (int $least)) -}}
{{- fail (printf "terminationGracePeriodSeconds: %d would cut streams off: preStopSeconds and config.server.drain take up to %d" $given (int $least)) -}}
{{- end -}}
{{ default (add $least 15) $given }}
{{- end -}}

{{/* The namespaces whose EndpointSlices tell where backends are, as a JSON list; "" is the release's own. */}}
{{- define "pointsman.discovered" -}}
{{- $found := list -}}
{{- range dig "backends" dict .Values.config -}}
{{- if eq "kubernetes" (dig "discovery" "type" "" .) -}}
{{- $found = append $found (dig "discovery" "namespace" "" .) -}}
{{- end -}}
{{- end -}}
{{ $found | uniq | sortAlpha | toJson }}
{{- end -}}

{{/* The model that the test asks. */}}
{{- define "pointsman.testModel" -}}
{{ coalesce .Values.test.model (dig "models" dict .Values.config | keys | sortAlpha | first) "simulator" }}
{{- end -}}

{{/* Whether the test has what callers need to be let in. */}}
{{- define "pointsman.testable" -}}
{{- $mode := dig "auth" "mode" "none" .Values.config -}}
{{- if and .Values.test.enabled
  (or (ne $mode "api_key") .Values.test.apiKeySecretName)
  (or (not .Values.tls.clientCaKey) .Values.test.tlsSecretName) -}}
true
{{- end -}}
{{- end -}}
