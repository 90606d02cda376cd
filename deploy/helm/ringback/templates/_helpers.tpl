{{- define "ringback.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains "ringback" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-ringback" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ringback.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ringback.labels" -}}
app.kubernetes.io/name: ringback
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* What selects the pods of the service. It can never change. */ -}}
{{- define "ringback.selector" -}}
app.kubernetes.io/name: ringback
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: service
{{- end -}}

{{- define "ringback.migrateSelector" -}}
app.kubernetes.io/name: ringback
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: migrate
{{- end -}}

{{- define "ringback.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "ringback.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "ringback.cluster" -}}
{{ include "ringback.fullname" . }}-postgres
{{- end -}}

{{- /* The Secret with the authority of Postgres's certificate; empty if there is none. The operator makes that of the cluster. */ -}}
{{- define "ringback.caSecret" -}}
{{- if .Values.cluster.enabled -}}
{{ include "ringback.cluster" . }}-ca
{{- else -}}
{{ .Values.postgresCaSecretName }}
{{- end -}}
{{- end -}}

{{- define "ringback.caEnv" -}}
- name: PGSSLROOTCERT
  value: /etc/ringback/postgres/ca.crt
{{- if .Values.cluster.enabled }}
- name: PGSSLMODE
  value: verify-full
{{- end }}
{{- end -}}

{{- define "ringback.caMount" -}}
- name: postgres-ca
  mountPath: /etc/ringback/postgres
  readOnly: true
{{- end -}}

{{- define "ringback.caVolume" -}}
- name: postgres-ca
  secret:
    secretName: {{ include "ringback.caSecret" . }}
    defaultMode: 0440
    items:
      - key: ca.crt
        path: ca.crt
{{- end -}}
