// Asks what the WorkerPools of a queue say of a job that no worker takes: the API of a dashboard (that of a running
// `millhand up` too), or a cluster by kubectl. What cannot be asked is a remark, never a failure. For millhand why.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { needsPods, type PoolCause, whyWithPools } from '@millhand/control/decide/why'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import { reasonOf, type Why } from 'millhand/queue'
import type { Context } from './context.ts'
import { findRunning } from './local/running.ts'
import { addressOf, DEADLINE_MS, type ServerOptions } from './server.ts'

export interface PoolOptions extends ServerOptions {
  /** A context of kubectl; true: the current one. */
  context?: string | true
  api?: string
}

interface Asked {
  namespace: string
  /** The name of the TaskQueue. */
  queue: string
  id: string
}

export type WholeWhy = Omit<Why, 'causes'> & {
  readonly causes: readonly (Why['causes'][number] | PoolCause)[]
}

const KUBECTL_MS = 15_000
const MOST_BYTES = 64 * 1024 * 1024

/** With what the pools say, where pods could help and somebody can be asked. */
export async function withPools(
  found: Why,
  asked: Asked,
  options: PoolOptions,
  context: Pick<Context, 'config' | 'note' | 'workingFolder'>,
): Promise<WholeWhy> {
  // What holds up a job that waits in a flow may be a job of another queue.
  if (found.state === 'waiting' || !needsPods(found.causes)) return found
  try {
    if (options.context !== undefined) {
      const pools = await byKubectl(asked, options, context.config.environment)
      return { ...found, causes: whyWithPools(found.causes, asked.queue, pools) }
    }
    const api = apiOf(options, context)
    if (api !== undefined) return await byApi(api, asked)
    context.note(
      'its WorkerPools were not asked: --context NAME asks them with kubectl, --api URL a dashboard',
    )
  } catch (error) {
    context.note(`its WorkerPools could not be asked: ${reasonOf(error)}`)
  }
  return found
}

interface Api {
  url: URL
  token?: string | null | undefined
}

/** Of the option, of the environment, or of the `up` that has this Redis, whose address has its token. */
function apiOf(options: PoolOptions, context: Pick<Context, 'config' | 'workingFolder'>): Api | undefined {
  const given = options.api ?? context.config.api
  const running = given === undefined ? findRunning(context.workingFolder) : undefined
  const isOfThisRedis = running?.redisUrl === addressOf(options, context).redis.url
  const address = given ?? (isOfThisRedis ? running?.dashboardUrl : undefined)
  if (address === undefined) return undefined
  const url = new URL(address)
  const token = url.searchParams.get('token')
  return { url, token: given === undefined ? token : (token ?? context.config.apiToken) }
}

/** Its answer has the job's own causes too. */
async function byApi({ url, token }: Api, { namespace, queue, id }: Asked): Promise<Why> {
  const parts = ['queues', namespace, queue, 'jobs', id].map(encodeURIComponent)
  const path = `${url.pathname.replace(/\/(api\/v1\/?)?$/, '')}/api/v1/${parts.join('/')}/why`
  const response = await fetch(new URL(path, url.origin), {
    headers: token ? { Authorization: `Bearer ${token}` } : {},
    signal: AbortSignal.timeout(DEADLINE_MS),
  })
  const answer = (await response.json()) as Why & { error?: { message: string } }
  if (response.ok && Array.isArray(answer.causes)) return answer
  throw new Error(answer.error?.message ?? `${url.origin} answers with status ${response.status}`)
}

async function byKubectl(
  { namespace }: Asked,
  { context }: PoolOptions,
  env: Context['config']['environment'],
): Promise<WorkerPoolObject[]> {
  const where = typeof context === 'string' ? ['--context', context] : []
  const args = [...where, '--namespace', namespace, 'get', 'workerpools.millhand.dev', '--output', 'json']
  try {
    const { stdout } = await promisify(execFile)('kubectl', args, {
      env,
      timeout: KUBECTL_MS,
      maxBuffer: MOST_BYTES,
    })
    return (JSON.parse(stdout) as { items: WorkerPoolObject[] }).items
  } catch (error) {
    const { stderr, code } = error as { stderr?: string; code?: unknown }
    if (code === 'ENOENT') throw new Error('kubectl: not found on the PATH')
    throw new Error(`kubectl: ${stderr?.trim().split('\n').at(-1) || reasonOf(error)}`)
  }
}
