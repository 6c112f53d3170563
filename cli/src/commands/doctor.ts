// millhand doctor: finds what is wrong with the Redis and its queues, and says what to do.
import type { Command } from 'commander'
import {
  examineServer,
  type Finding,
  isAtLeast,
  type ServerFacts,
  serverText,
  tryOut,
  worstFirst,
} from 'millhand/doctor'
import {
  addressText,
  connectRedis,
  parseAddress,
  prefixOf,
  type Queue,
  QueueRefused,
  queueName,
  type RedisAddress,
  RedisUnavailable,
} from 'millhand/queue'
import { CommandFailed, type Context, type Paint } from '../context.ts'
import { examples, withJsonOption } from '../options.ts'
import { jsonDocument, oneLine } from '../printable.ts'
import { layoutFinding, type QueueFacts, queueFindings } from '../queue-findings.ts'
import { partsOf, queuesThere } from '../queues-there.ts'
import { connectionLost, whyNotLetIn, whyUnreachable } from '../reaching.ts'
import {
  type Address,
  addressOf,
  DEADLINE_MS,
  type Server,
  type ServerOptions,
  withServer,
  withServerOptions,
} from '../server.ts'
import { counted } from '../units.ts'

interface Options extends ServerOptions {
  json?: boolean
}

interface Report {
  /** Hosts and ports; the rest may be secret. */
  address: string
  /** The place to run the commands of remedies. */
  redisCli: string
  servers: ServerFacts[]
  redis: Finding[]
  areQueuesNamed: boolean
  /** Absent where the user may not look for queues. */
  queues?: { queue: string; findings: Finding[] }[]
}

export function doctorCommand(parent: Command, context: Context): void {
  const command = parent
    .command('doctor')
    .summary('find what is wrong with Redis and the queues, and what to do')
    .description(
      `Finds what keeps jobs from being enqueued, run or kept: whether Redis can be reached and why not, its settings, how full it is, and in each queue whether jobs wait that no worker runs. Says what to do about each finding, the worst first. Changes nothing.
Without names it looks for queues through all keys of the Redis (SCAN), as millhand queues does.

A problem keeps jobs from running, or loses them; a warning asks for a repair; a note is worth knowing.
Exit code: 0 nothing worse than a note, 1 warnings or problems (or no Redis could be reached), 2 wrong use.`,
    )
    .argument('[queue...]', 'names of TaskQueues; default: all')
  withJsonOption(withServerOptions(command))
    .addHelpText(
      'after',
      examples(
        'millhand doctor',
        'millhand doctor mail --namespace shop',
        'millhand doctor --redis rediss://redis.example.com:6379',
        'millhand doctor --json | jq \'.redis.findings[] | select(.severity == "problem")\'',
      ),
    )
    .action(async (names: string[], options: Options) => {
      const report = await examine(names, options, context)
      context.print(options.json ? jsonDocument(plain(report)) : pages(report, context.paint))
      const bad = allOf(report).filter(({ severity }) => isAtLeast(severity, 'warning'))
      if (bad.length > 0) throw new CommandFailed(summary(bad))
    })
}

async function examine(names: readonly string[], options: Options, context: Context): Promise<Report> {
  const address = addressOf(options, context)
  const parsed = parseAddress(address.redis)
  const report: Report = {
    address: addressText(parsed),
    redisCli: redisCliText(parsed),
    servers: [],
    redis: [],
    areQueuesNamed: names.length > 0,
  }
  const unreachable = await whyUnreachable(parsed)
  if (unreachable.length === parsed.hosts.length) return { ...report, redis: unreachable }
  try {
    return await withServer(options, context, async (server) => {
      const { servers, findings } = await examineServer(server.redis, { nowMs: context.nowMs })
      // The connection works with the other hosts, so these faults are warnings.
      const partly = unreachable.map((each): Finding => ({ ...each, severity: 'warning' }))
      // A server of a Cluster answers MOVED for keys of another one.
      const isWhole = server.redis.form === 'cluster' || !servers.some(({ isCluster }) => isCluster)
      const { found = [], ...queues } = isWhole ? await examineQueues(names, server, context) : {}
      const trials = isWhole ? await tryItOut(names, address, server) : []
      return {
        ...report,
        servers,
        redis: worstFirst([...findings, ...trials, ...partly, ...found]),
        ...queues,
      }
    })
  } catch (error) {
    if (!isAboutConnecting(error)) throw error
    const why = [...(await whyNotLetIn(error, parsed, address.redis)), ...unreachable]
    return { ...report, redis: why.length > 0 ? why : [connectionLost(error)] }
  }
}

/**
 * A replica, a full server and one that loads its data refuse the trials; that is a finding already.
 */
async function tryItOut(
  names: readonly string[],
  { redis, namespace }: Address,
  server: Server,
): Promise<Finding[]> {
  const messages = connectRedis(redis, { name: 'millhand-cli', deadlineMs: DEADLINE_MS })
  try {
    const queue = queueName(namespace, names[0] ?? 'doctor')
    return await tryOut({ commands: server.redis, messages, queue })
  } catch (error) {
    if (error instanceof RedisUnavailable) return []
    throw error
  } finally {
    messages.close()
  }
}

function isAboutConnecting(error: unknown): boolean {
  return (
    error instanceof RedisUnavailable ||
    (error instanceof Error && /cluster support disabled/i.test(error.message))
  )
}

async function examineQueues(
  names: readonly string[],
  server: Server,
  context: Context,
): Promise<{ found?: Finding[] } & Pick<Report, 'queues'>> {
  try {
    const queues = await queuesThere(server, names)
    const examined = queues.map(async (queue) => ({
      queue: queue.name,
      findings: worstFirst(await examineQueue(queue, server, context)),
    }))
    return { queues: await Promise.all(examined) }
  } catch (error) {
    if (error instanceof RedisUnavailable) {
      const message = 'the search for queues failed: a server does not answer'
      const remedy = 'try again, or name the queues that matter: millhand doctor mail thumbnails'
      return { found: [{ check: 'Queues', severity: 'warning', message, remedy }] }
    }
    if (!isRefusal(error)) throw error
    const remedy = 'name the queues: millhand doctor mail thumbnails; or allow SCAN to this user'
    return {
      found: [{ check: 'Rights', severity: 'note', message: 'this user may not look for queues', remedy }],
    }
  }
}

async function examineQueue(queue: Queue, server: Server, { nowMs }: Context): Promise<Finding[]> {
  try {
    if (!(await queue.exists()))
      return [
        {
          check: 'Name',
          severity: 'warning',
          message: 'there is no queue of this name',
          remedy: 'check the name: millhand queues',
        },
      ]
    return queueFindings(await factsOf(queue, server, nowMs()))
  } catch (error) {
    if (error instanceof QueueRefused) return [layoutFinding(error)]
    if (error instanceof RedisUnavailable)
      return [
        {
          check: 'Connection',
          severity: 'problem',
          message: 'the server that has this queue does not serve it now',
          remedy: 'the findings about its server say why',
        },
      ]
    if (!isRefusal(error)) throw error
    return [
      {
        check: 'Rights',
        severity: 'note',
        message: 'this user may not read the queue',
        remedy: `allow it the keys ~${prefixOf(queue.name)}* and the commands of a viewer (docs/redis.md, "Rights")`,
      },
    ]
  }
}

async function factsOf(queue: Queue, server: Server, nowMs: number): Promise<QueueFacts> {
  const { namespace, name } = partsOf(queue.name)
  const [depth, workers, owner, maxLength, [lastBuried]] = await Promise.all([
    queue.depth(),
    queue.workers(),
    queue.owner(),
    queue.maxLength(),
    queue.jobs('buried', { limit: 1 }),
  ])
  const buriedAtMs = lastBuried?.buriedAtMs
  return {
    name,
    namespace,
    option: namespace === server.namespace ? '' : ` --namespace ${namespace}`,
    depth,
    workers,
    ...(owner !== undefined && { owner }),
    ...(maxLength !== undefined && { maxLength }),
    ...(buriedAtMs !== undefined && { lastBuriedMs: Math.max(0, nowMs - buriedAtMs) }),
    ...(depth.vanishedAtMs !== undefined && { lastVanishedMs: Math.max(0, nowMs - depth.vanishedAtMs) }),
  }
}

/** The last two are of a script that runs a forbidden command. */
function isRefusal(error: unknown): boolean {
  return (
    error instanceof Error &&
    /^NOPERM|user executing the script can't|ACL failure in script/.test(error.message)
  )
}

/** The address without its login, which is secret. */
function redisCliText({ form, hosts, tls, primaryName }: RedisAddress): string {
  const of = ({ host, port }: { host: string; port: number | string }) =>
    `redis-cli -h ${host} -p ${port}${tls ? ' --tls --cacert ca.crt' : ''} --user USER --askpass`
  const [first = { host: 'HOST', port: 'PORT' }] = hosts
  if (form === 'server') return of(first)
  const named = of({ host: 'HOST', port: 'PORT' })
  if (form === 'cluster') return `${named}, of the server that is named, or of each`
  return `${named}, of the primary, which redis-cli -h ${first.host} -p ${first.port} SENTINEL GET-MASTER-ADDR-BY-NAME ${primaryName} tells`
}

const allOf = ({ redis, queues = [] }: Report): Finding[] => [
  ...redis,
  ...queues.flatMap(({ findings }) => findings),
]

function plain({ address, servers, redis, queues = [] }: Report) {
  return {
    redis: { address, servers, findings: redis },
    queues: queues.map(({ queue, findings }) => ({ queue, ...partsOf(queue), findings })),
  }
}

function pages(report: Report, paint: Paint): string {
  const { queues = [], redis, redisCli } = report
  const rank = (findings: readonly Finding[]) => ({
    severity: worstFirst(findings)[0]?.severity ?? 'ok',
  })
  // A queue that the user named shows all its findings.
  const isFine = ({ findings }: { findings: readonly Finding[] }) =>
    !report.areQueuesNamed && findings.every(({ severity }) => severity === 'ok')
  const bad = worstFirst(
    queues.filter((each) => !isFine(each)).map((each) => ({ ...each, ...rank(each.findings) })),
  )
  const fine = queues.filter(isFine).map(({ queue }) => queue)
  return [
    page(`Redis ${whatItIs(report)}`, redis, paint),
    ...(report.servers.length > 0 && redis.some(({ remedy }) => remedy?.includes('redis-cli'))
      ? [oneLine(`redis-cli here means ${redisCli}`)]
      : []),
    ...bad.map(({ queue, findings }) => page(`Queue ${queue}`, findings, paint)),
    ...(fine.length > 0 ? [`${counted(fine.length, 'queue')} without findings: ${few(fine)}`] : []),
    ...(report.queues?.length === 0 ? ['There is no queue.'] : []),
  ].join('\n\n')
}

function whatItIs({ address, servers }: Report): string {
  const kinds = [...new Set(servers.filter(({ isAway, isSilent }) => !isAway && !isSilent).map(serverText))]
  const many = servers.length > 1 ? `, ${servers.length} servers` : ''
  return `at ${address}${kinds.length > 0 ? ` (${kinds.join(', ')}${many})` : ''}`
}

function page(title: string, findings: readonly Finding[], paint: Paint): string {
  const servers = new Set(findings.flatMap(({ server }) => server ?? [])).size
  // The title has the version.
  const good = findings.filter(({ severity, check }) => severity === 'ok' && check !== 'Version')
  const lines = [...alike(findings.filter(({ severity }) => severity !== 'ok'))].flatMap(
    ([{ severity, message, remedy }, names]) => [
      line(severity, names.length === 0 ? message : `${few(names)}: ${message}`, paint),
      ...(remedy === undefined ? [] : [`  ${' '.repeat(WIDTH)}→ ${oneLine(remedy)}`]),
    ],
  )
  const goodLines =
    servers > 1
      ? [line('ok', [...new Set(good.map(({ check }) => check))].join(', '), paint)]
      : good.map(({ message }) => line('ok', message, paint))
  return [paint('bold', oneLine(title)), ...lines, ...goodLines].join('\n')
}

/** The same finding about several servers is one line, with their names. */
function alike(findings: readonly Finding[]): Map<Finding, string[]> {
  const found = new Map<Finding, string[]>()
  for (const finding of findings) {
    const isSame = (other: Finding) => other.message === finding.message && other.remedy === finding.remedy
    const names = found.get([...found.keys()].find(isSame) ?? finding) ?? []
    if (names.length === 0) found.set(finding, names)
    if (finding.server !== undefined) names.push(finding.server)
  }
  return found
}

const WIDTH = 9
const STYLES = { problem: 'red', warning: 'yellow', note: 'cyan', ok: 'green' } as const

function line(severity: Finding['severity'], text: string, paint: Paint): string {
  return `  ${paint(STYLES[severity], severity.padEnd(WIDTH))}${oneLine(text)}`
}

function few(names: readonly string[]): string {
  const shown = names.slice(0, 8).map(oneLine).join(', ')
  return names.length > 8 ? `${shown} and ${names.length - 8} more` : shown
}

function summary(bad: readonly Finding[]): string {
  const count = (severity: Finding['severity']) => bad.filter((each) => each.severity === severity).length
  const parts = (['problem', 'warning'] as const).flatMap((severity) =>
    count(severity) > 0 ? [counted(count(severity), severity)] : [],
  )
  return `found ${parts.join(' and ')}`
}
