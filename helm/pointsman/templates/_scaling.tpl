{{/* Who sets the number of pods, and what the Deployment says about it. */}}

{{- define "pointsman.scaled" -}}
{{- if and .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- fail "autoscaling.enabled and keda.enabled: only one of them can set the number of pods" -}}
{{- end -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas: %d is more than maxReplicas" (int .Values.autoscaling.minReplicas)) -}}
{{- end -}}
{{- if not (or .Values.autoscaling.callsInFlight .Values.autoscaling.cpuUtilization) -}}
{{- fail "autoscaling: one of callsInFlight and cpuUtilization must be more than 0" -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{/*
spec.replicas, or nothing. With an autoscaler it is never simply left out, for an API server that is told to forget the
number sets it to 1:

1. no Deployment yet: begin with the autoscaler's least;
2. the release is applied by the server (Helm 4), and the number is somebody else's by now (the autoscaler's): leave it
   out, so that a later rollback does not fight for it;
3. else: repeat the number that there is.
*/}}
{{- define "pointsman.replicas" -}}
{{- if not (include "pointsman.scaled" .) -}}
{{ int .Values.replicaCount }}
{{- else if .Values.autoscaling.keepReplicas -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "pointsman.fullname" .) -}}
{{- if not $live -}}
{{ int .Values.autoscaling.minReplicas }}
{{- else if not (include "pointsman.replicasOfOthers" $live) -}}
{{ int $live.spec.replicas }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pointsman.replicasOfOthers" -}}
{{- $applied := false -}}
{{- $others := false -}}
{{- range .metadata.managedFields -}}
{{- if and (eq .operation "Apply") (eq .manager "helm") -}}
{{- $applied = true -}}
{{- else if hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas" -}}
{{- $others = true -}}
{{- end -}}
{{- end -}}
{{- if and $applied $others -}}true{{- end -}}
{{- end -}}
