// What Flux (by kstatus' own library) and Argo CD (by the health check of docs/conditions.md) make of the statuses that the operator writes.
import { readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { connectRedis } from 'millhand/queue'
import { parse } from 'yaml'
import { type ObservedTaskQueue, planTaskQueue } from '../../control/src/decide/queue.ts'
import { type ObservedSchedule, planSchedule } from '../../control/src/decide/schedule.ts'
import { type Kind, loadCrds } from '../../control/src/resources/schemas.ts'
import { TEMPLATE_ANNOTATION } from '../../operator/src/fleet/deployment.ts'
import type { FleetPod } from '../../operator/src/fleet/pods.ts'
import { run } from '../cluster/run.ts'
import { kstatus } from '../cluster/tools.ts'
import { seenSchedule } from '../control/decide/seen-schedule.ts'
import { noJobs } from '../no-jobs.ts'
import {
  deploymentWith,
  fleetOf,
  NOW,
  type Observed,
  observed,
  planWorkerPool,
  podOf,
  poolOf,
  queueOf,
  workerOf,
} from '../operator/worker-pool/observed.ts'
import { redisUrl } from '../redis.ts'

jest.setTimeout(600_000) // the first call builds kstatus

interface Row {
  of: Kind
  is: string
  status: object | undefined
  /** Of the spec, as it is now. */
  generation?: number
  flux: 'Current' | 'InProgress' | 'Failed'
  argo: 'Healthy' | 'Progressing' | 'Degraded'
  says: RegExp
}

const unseen = (kind: Kind) => loadCrds()[kind].properties?.status?.default as object | undefined

const pool = (replicas: number) => poolOf({ scaling: { mode: 'Manual' }, replicas })
function poolStatus(
  replicas: number,
  pods: FleetPod[],
  more: Partial<Observed> = {},
  conditions: object[] = [],
) {
  const seen = observed({ pool: pool(replicas), pods, workers: pods.map(({ uid }) => workerOf(uid)) })
  const deployment = deploymentWith(replicas, {
    metadata: {
      ...deploymentWith(replicas).metadata,
      annotations: fleetOf(seen).rendered.manifest.metadata.annotations,
    },
    status: { ...deploymentWith(replicas).status, conditions },
  })
  return planWorkerPool({ ...seen, deployment, ...more }, { nowMs: NOW, wallMs: NOW }).currentStatus
}
const starting = podOf('new', { isReady: false, startedAtMs: NOW - 5_000 })
const broken = podOf('new', {
  isReady: false,
  trouble: { reason: 'CrashLoopBackOff', message: 'exit code 1', isLasting: true },
})
const old = podOf('old', { isCurrent: false, templateHash: 'old' })
const earlier = deploymentWith(1, {
  metadata: { ...deploymentWith(1).metadata, annotations: { [TEMPLATE_ANNOTATION]: 'earlier' } },
})
const timedOut = {
  type: 'Progressing',
  status: 'False',
  reason: 'ProgressDeadlineExceeded',
  message: 'timed out',
}
const away = { reason: 'RedisUnreachable', message: 'nobody answers' } as const

const open = (): ObservedTaskQueue['redis'] => {
  return {
    kind: 'open',
    view: { depth: noJobs, workers: [], measured: {}, atMs: 0 } as never,
    server: 'unknown',
  }
}
const queueStatus = (redis: ObservedTaskQueue['redis']) =>
  planTaskQueue(
    { queue: { queueName: 'shop.mail', suspend: false } as never, generation: 1, status: undefined, redis },
    NOW,
  ).status

const scheduleStatus = (found?: ObservedSchedule['found']) =>
  planSchedule({ ...seenSchedule({}, NOW), ...(found && { found }) }, NOW).status

const rows: Row[] = [
  {
    of: 'WorkerPool',
    is: 'just created',
    status: unseen('WorkerPool'),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /not looked/,
  },
  {
    of: 'TaskQueue',
    is: 'just created',
    status: unseen('TaskQueue'),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /not looked/,
  },
  {
    of: 'WorkerPool',
    is: 'changed just now',
    status: poolStatus(0, []),
    generation: 2,
    flux: 'InProgress',
    argo: 'Progressing',
    says: /not looked/,
  },
  {
    of: 'WorkerPool',
    is: 'without a Deployment yet',
    status: poolStatus(0, [], { deployment: undefined }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /Deployment not created/,
  },
  {
    of: 'WorkerPool',
    is: 'that needs no pod',
    status: poolStatus(0, []),
    flux: 'Current',
    argo: 'Healthy',
    says: /no pods needed/,
  },
  {
    of: 'WorkerPool',
    is: 'that works',
    status: poolStatus(1, [podOf('a')]),
    flux: 'Current',
    argo: 'Healthy',
    says: /1 of 1/,
  },
  {
    of: 'WorkerPool',
    is: 'that grows',
    status: poolStatus(2, [podOf('a'), starting]),
    flux: 'Current',
    argo: 'Healthy',
    says: /1 of 2/,
  },
  {
    of: 'WorkerPool',
    is: 'that starts',
    status: poolStatus(1, [starting], { workers: [] }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /0 of 1/,
  },
  {
    of: 'WorkerPool',
    is: 'whose new template is not written yet',
    status: poolStatus(1, [podOf('a')], { deployment: earlier }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /being replaced/,
  },
  {
    of: 'WorkerPool',
    is: 'that rolls out',
    status: poolStatus(1, [old, starting]),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /being replaced/,
  },
  {
    of: 'WorkerPool',
    is: 'that crashes',
    status: poolStatus(1, [broken], { workers: [] }),
    flux: 'Failed',
    argo: 'Degraded',
    says: /exit code 1/,
  },
  {
    of: 'WorkerPool',
    is: 'whose rollout is stuck',
    status: poolStatus(1, [old, broken], {}, [timedOut]),
    flux: 'Failed',
    argo: 'Degraded',
    says: /exit code 1/,
  },
  {
    of: 'WorkerPool',
    is: 'without Redis',
    status: poolStatus(1, [podOf('a')], { queues: [{ ...queueOf(), problem: away }], workers: 'unknown' }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /nobody answers/,
  },
  {
    of: 'TaskQueue',
    is: 'that serves',
    status: queueStatus(open()),
    flux: 'Current',
    argo: 'Healthy',
    says: /shop.mail/,
  },
  {
    of: 'TaskQueue',
    is: 'whose name is taken',
    status: queueStatus({ kind: 'taken', isOwnerThere: false }),
    flux: 'Failed',
    argo: 'Degraded',
    says: /another owner/,
  },
  {
    of: 'TaskQueue',
    is: 'without Redis',
    status: queueStatus({ kind: 'problem', ...away }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /nobody answers/,
  },
  {
    of: 'TaskQueue',
    is: 'without its Secret',
    status: queueStatus({ kind: 'problem', reason: 'RedisSecretMissing', message: 'not there' }),
    flux: 'Failed',
    argo: 'Degraded',
    says: /not there/,
  },
  {
    of: 'Schedule',
    is: 'just created',
    status: unseen('Schedule'),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /not looked/,
  },
  {
    of: 'Schedule',
    is: 'that its queue has',
    status: scheduleStatus(),
    flux: 'Current',
    argo: 'Healthy',
    says: /has the schedule/,
  },
  {
    of: 'Schedule',
    is: 'in a zone that there is not',
    status: scheduleStatus({ kind: 'problem', reason: 'InvalidSchedule', message: 'no such zone' }),
    flux: 'Failed',
    argo: 'Degraded',
    says: /no such zone/,
  },
  {
    of: 'Schedule',
    is: 'without Redis',
    status: scheduleStatus({ kind: 'problem', ...away }),
    flux: 'InProgress',
    argo: 'Progressing',
    says: /nobody answers/,
  },
]

const objectOf = ({ of, status, generation = 1 }: Row) => ({
  apiVersion: 'millhand.dev/v1beta1',
  kind: of,
  metadata: { name: 'mail', namespace: 'shop', generation },
  ...(status && { status }),
})

const page = readFileSync(new URL('../../docs/conditions.md', import.meta.url), 'utf8')
const [, yaml = ''] = /```yaml\n(data:\n {2}resource\.customizations\.health[\s\S]*?)```/.exec(page) ?? []
const checks = parse(yaml).data as Record<string, string>

let redis: ReturnType<typeof connectRedis>
let computed: string[]
beforeAll(async () => {
  redis = connectRedis(redisUrl())
  const stdin = rows.map((row) => `${JSON.stringify(objectOf(row))}\n`).join('')
  computed = (await run([await kstatus()], { stdin })).trim().split('\n')
})
afterAll(() => redis.close())

test.each(rows.map((row, index) => [row.of, row.is, row, index] as const))(
  'a %s %s is what it is for Flux and Argo CD',
  async (_kind, _is, row, index) => {
    expect(computed[index]).toBe(row.flux)
    // Redis and Argo CD speak the same Lua.
    const script = `local function check(obj) ${checks[`resource.customizations.health.millhand.dev_${row.of}`]} end
      local health = check(cjson.decode(ARGV[1]))
      return {health.status, health.message}`
    const said = await redis.call('EVAL', script, '0', JSON.stringify(objectOf(row)))
    expect(said).toEqual([row.argo, expect.stringMatching(row.says)])
  },
)
