// kube-score's checks of what the chart renders: each finding that stays has its reason here, and each reason a finding.
import { jest } from '@jest/globals'
import { run } from '../cluster/run.ts'
import { kubeScore } from '../cluster/tools.ts'
import { renderText, type Values } from './chart.ts'

jest.setTimeout(600_000) // the first call builds kube-score

const A_VERSION = 'The tag is a version. `image.pullPolicy` may be Always.'
const THROTTLED = 'A leader that is throttled loses its lease; requests share the CPU fairly.'
const LOGS_COUNT = 'Nothing but logs is written, and a pod above the limit is evicted because of its logs.'
const THE_IMAGES =
  'The image has a user of its own, not root. OpenShift assigns another one and refuses a fixed one.'

const REASONS: Record<string, string> = {
  'Deployment container-image-pull-policy: ImagePullPolicy is not set to Always': A_VERSION,
  'Deployment container-resources: CPU limit is not set': THROTTLED,
  'Deployment container-ephemeral-storage-request-and-limit: Ephemeral Storage limit is not set': LOGS_COUNT,
  'Deployment container-ephemeral-storage-request-and-limit: Ephemeral Storage request is not set':
    LOGS_COUNT,
  'Deployment container-security-context-user-group-id: The container is running with a low user ID':
    THE_IMAGES,
  'Deployment container-security-context-user-group-id: The container running with a low group ID':
    THE_IMAGES,
  'Pod container-image-pull-policy: ImagePullPolicy is not set to Always': A_VERSION,
  'Pod container-resources: CPU limit is not set': 'It runs for seconds, when a person asks for it.',
  'Pod container-ephemeral-storage-request-and-limit: Ephemeral Storage limit is not set': LOGS_COUNT,
  'Pod container-ephemeral-storage-request-and-limit: Ephemeral Storage request is not set': LOGS_COUNT,
  'Pod container-security-context-user-group-id: The container is running with a low user ID': THE_IMAGES,
  'Pod container-security-context-user-group-id: The container running with a low group ID': THE_IMAGES,
  'Pod pod-networkpolicy: The pod does not have a matching NetworkPolicy':
    'The pod of `helm test` listens on no port and makes one request.',
  'StatefulSet container-image-pull-policy: ImagePullPolicy is not set to Always':
    'The tag is a minor version: a pull could change the server under its jobs.',
  'StatefulSet container-resources: CPU limit is not set':
    'The server answers all workers; throttled it holds all of them up.',
  'StatefulSet container-ephemeral-storage-request-and-limit: Ephemeral Storage limit is not set': LOGS_COUNT,
  'StatefulSet container-ephemeral-storage-request-and-limit: Ephemeral Storage request is not set':
    LOGS_COUNT,
  'StatefulSet container-security-context-user-group-id: The container is running with a low user ID':
    'The user of the usual images of Redis and Valkey.',
  'StatefulSet container-security-context-user-group-id: The container running with a low group ID':
    'The user of the usual images of Redis and Valkey.',
  'StatefulSet statefulset-has-servicename: StatefulSet does not have a valid serviceName':
    'There is one pod, and clients reach it by the address of a Service, which outlives the pod.',
}

interface Scored {
  type_meta: { kind: string }
  checks: { check: { id: string }; skipped: boolean; grade: number; comments: { summary: string }[] | null }[]
}
const ALMOST_OK = 7

async function findingsOf(values: Values, change = (text: string) => text): Promise<string[]> {
  const command = [
    await kubeScore(),
    'score',
    '--kubernetes-version',
    'v1.29',
    '--output-format',
    'json',
    '-',
  ]
  // It ends with 1 when it finds something.
  const shell = ['sh', '-c', '"$@" || test $? = 1', 'sh', ...command]
  const scored = JSON.parse(await run(shell, { stdin: change(await renderText(values)) })) as Scored[]
  expect(scored.map(({ type_meta }) => type_meta.kind)).toContain('Deployment')
  return scored.flatMap(({ type_meta: { kind }, checks }) =>
    checks
      .filter(({ skipped, grade }) => !skipped && grade < ALMOST_OK)
      .flatMap(({ check, comments }) =>
        (comments ?? [{ summary: 'no comment' }]).map(({ summary }) => `${kind} ${check.id}: ${summary}`),
      ),
  )
}

const monitoring = Object.fromEntries(
  ['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard'].map((name) => [name, { enabled: true }]),
)

test('kube-score finds nothing without a reason, and each reason is still needed', async () => {
  const url = 'https://millhand.example.com'
  const dashboard = { enabled: true, url, ingress: { enabled: true, tlsSecretName: 'tls' } }
  const embedded = { enabled: true, persistence: { enabled: true } }
  const found = [
    ...(await findingsOf({})),
    ...(await findingsOf({ redis: { embedded }, metrics: monitoring })),
    ...(await findingsOf({ dashboard })),
    ...(await findingsOf({ watch: { namespaces: ['shop'] } })),
  ]
  expect([...new Set(found)].sort()).toEqual(Object.keys(REASONS).sort())
})

test('kube-score would find a container that may write to its file system', async () => {
  const writable = (text: string) => text.replaceAll('readOnlyRootFilesystem: true', '')
  expect((await findingsOf({}, writable)).join('\n')).toContain(
    'Deployment container-security-context-readonlyrootfilesystem',
  )
})
