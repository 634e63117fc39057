{{- define "vae.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* 52 characters: a pod is <name>-<ordinal>, a revision <name>-<hash of ten>, the headless service <name>-headless. */}}
{{- define "vae.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "vae.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "vae.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "vae.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "vae.headless" -}}
{{ include "vae.fullname" . }}-headless
{{- end }}

{{- define "vae.selectorLabels" -}}
app.kubernetes.io/name: {{ include "vae.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "vae.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "vae.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ include "vae.name" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vae.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "vae.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "vae.image" -}}
{{- with .Values.image }}
{{- with .registry }}{{ . }}/{{ end }}
{{- .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{- /* All shards by name, those that are down too: a name that resolves to the running ones would hide a missing one. */}}
{{- define "vae.peers" -}}
{{- $peers := list }}
{{- range $ordinal := until (int .Values.replicas) }}
{{- $peers = append $peers (printf "%s-%d.%s.%s.svc:%d" (include "vae.fullname" $) $ordinal (include "vae.headless" $) (include "vae.namespace" $) (int $.Values.service.port)) }}
{{- end }}
{{- join "," $peers }}
{{- end }}

{{- define "vae.args" -}}
{{- if .Values.demo }}
- demo
{{- else }}
- run
- --config.file=/etc/video-analytics-exporter/config/config.yaml
{{- end }}
- --storage.path=/data
- --web.listen-address=:{{ .Values.service.port }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
{{- with .Values.web }}
{{- if ne .telemetryPath "/metrics" }}
- --web.telemetry-path={{ .telemetryPath }}
{{- end }}
{{- with .externalUrl }}
- --web.external-url={{ . }}
{{- end }}
{{- if .enableLifecycle }}
- --web.enable-lifecycle
{{- end }}
{{- if .configExistingSecretName }}
- --web.config.file=/etc/video-analytics-exporter/web/web.yaml
{{- end }}
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
- --shard=auto
- --total-shards={{ .Values.replicas }}
- --shard.peers={{ include "vae.peers" . }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "vae.volumes" -}}
{{- if .Values.demo }}
{{- else if .Values.configExistingSecretName }}
- name: config
  secret:
    secretName: {{ .Values.configExistingSecretName }}
    defaultMode: 0440
{{- else }}
- name: config
  configMap:
    name: {{ include "vae.fullname" . }}
{{- end }}
{{- with .Values.web.configExistingSecretName }}
- name: web-config
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- range .Values.extraSecretMounts }}
- name: {{ .name }}
  secret:
    secretName: {{ .secretName }}
    defaultMode: 0440
    {{- with .items }}
    items:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- if not .Values.persistentVolume.enabled }}
- name: data
  emptyDir: {}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
