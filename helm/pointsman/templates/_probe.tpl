{{/* How a probe asks: gRPC's own health service, or HTTP where the public port is encrypted. */}}
{{- define "pointsman.probe" -}}
{{- $root := index . 0 -}}
{{- if $root.Values.tls.secretName -}}
httpGet:
  path: {{ index . 1 }}
  port: ops
{{- else -}}
grpc:
  port: {{ $root.Values.ports.grpc }}
{{- end -}}
{{- end -}}
