{{/*
The name of everything in the release: "millhand" where the release is called so. It always contains "millhand": alerts look for that.
46 characters leave room for "-redis": a StatefulSet of more than 52 gets no pods. What is cut keeps a hash, so that two releases differ.
*/}}
{{- define "millhand.name" -}}
{{- $full := contains "millhand" .Release.Name | ternary .Release.Name (printf "%s-millhand" .Release.Name) -}}
{{- if le (len $full) 46 -}}
{{ $full }}
{{- else -}}
{{ printf "%s-%s-millhand" (.Release.Name | trunc 28 | trimSuffix "-") (sha256sum .Release.Name | trunc 8) }}
{{- end -}}
{{- end }}

{{/* Labels by which the parts of a release find each other; they never change. Called with (list . "operator"). */}}
{{- define "millhand.selector" -}}
app.kubernetes.io/name: millhand
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "millhand.labels" -}}
{{ include "millhand.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "millhand.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What restricted pod security asks for. */}}
{{- define "millhand.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "millhand.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
