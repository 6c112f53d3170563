{{/*
The name of everything in the release: "millhand" where the release is called so, or what fullnameOverride says.
46 characters leave room for "-redis": a StatefulSet of more than 52 gets no pods. A name that is cut keeps a hash, so that two releases differ.
*/}}
{{- define "millhand.name" -}}
{{- $part := .Values.nameOverride | default .Chart.Name -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = contains $part .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $part) -}}
{{- end -}}
{{- if le (len $full) 46 -}}
{{ $full }}
{{- else -}}
{{ printf "%s-%s-millhand" (.Release.Name | trunc 28 | trimSuffix "-") (sha256sum .Release.Name | trunc 8) }}
{{- end -}}
{{- end }}

{{/* The name of the lease. It always contains "millhand": the alerts and the dashboard find the leader by that. */}}
{{- define "millhand.lease" -}}
{{- $name := include "millhand.name" . -}}
{{ contains "millhand" $name | ternary $name (printf "%s-millhand" $name) }}
{{- end }}

{{- define "millhand.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "millhand.name" .) "default") }}
{{- end }}

{{/* Labels by which the parts of a release find each other. No value changes them: selectors cannot be updated. Called with (list . "operator"). */}}
{{- define "millhand.selector" -}}
app.kubernetes.io/name: millhand
app.kubernetes.io/instance: {{ (index . 0).Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* All labels of an object. Called with (list . "operator") or (list . "operator" MORE); the chart's own win over MORE and commonLabels. */}}
{{- define "millhand.labels" -}}
{{- $root := index . 0 -}}
{{- $more := gt (len .) 2 | ternary (last .) dict -}}
{{- $own := dict
  "app.kubernetes.io/part-of" "millhand"
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_")
-}}
{{- mergeOverwrite (dict) $root.Values.commonLabels $more $own (include "millhand.selector" (list $root (index . 1)) | fromYaml) | toYaml -}}
{{- end }}

{{- define "millhand.annotations" -}}
{{- with . -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
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
