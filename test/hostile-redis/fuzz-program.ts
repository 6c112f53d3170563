// A program of its own, so that what nobody catches is seen: says answers that are none to each command of a connection in each form, and
// tells what came of it. Arguments: seed, how many random answers for each command.
import {
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  parseFilter,
  RedisUnavailable,
} from 'millhand/queue'
import { ANSWERS, ENDLESS_REPLIES, randomAnswer, randomReply } from './answers.ts'
import { randomFrom } from './random.ts'
import { civil, FORMS, type Form, HostileServer } from './server.ts'

const COMMANDS = [
  ...['AUTH', 'SELECT', 'CLIENT', 'INFO', 'SENTINEL', 'CLUSTER'],
  ...['EVALSHA', 'EVAL', 'SUBSCRIBE', 'UNSUBSCRIBE', 'BZPOPMIN', 'PING', 'HELLO'],
]
/** At once. */
const LANES = 128
const DEADLINE_MS = 1_000

const [seed = 0, randoms = 0] = process.argv.slice(2).map(Number)
const random = randomFrom(seed)
const uncaught: string[] = []
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) =>
    uncaught.push(`${event}: ${error instanceof Error ? error.stack : error}`),
  )

interface Case {
  form: Form
  command: string
  answer: string
}

const cases: Case[] = FORMS.flatMap((form) =>
  COMMANDS.flatMap((command) =>
    [...ANSWERS, ...Array.from({ length: randoms }, () => randomAnswer(random))].map((answer) => ({
      form,
      command,
      answer,
    })),
  ),
)

const strange: string[] = []
const told = new Map<string, number>()
let done = 0
let verbs = 0

async function play({ form, command, answer }: Case): Promise<void> {
  const server = await HostileServer.start((asked) => (asked.command === command ? answer : civil(asked)))
  const url = server.urlFor(form).replace('//', '//user:password@')
  const redis = connectRedis(form === 'cluster' ? url : `${url}/1`, {
    name: 'fuzz',
    deadlineMs: DEADLINE_MS,
    onState: () => {},
  })
  const heard: string[] = []
  const calls = [
    redis.ready(),
    redis.call('PING'),
    redis.call('EVALSHA', 'sha', 1, 'key', 'value'),
    redis.call('EVAL', 'return 1', 1, 'key'),
    redis.send(['BZPOPMIN', 'key', 1], DEADLINE_MS),
    redis.callThen(DEADLINE_MS, ['GET', 'key'], ['GET', 'key']),
    redis.subscribe('channel', (message) => heard.push(message)).then((stop) => stop()),
  ]
  for (const [at, ended] of (await Promise.allSettled(calls)).entries()) {
    const error = ended.status === 'rejected' ? ended.reason : undefined
    const isKnown = error instanceof RedisUnavailable || error?.name === 'ReplyError' || error === undefined
    if (!isKnown)
      strange.push(`${form} ${command} ${JSON.stringify(answer)} call ${at}: ${error?.stack ?? error}`)
    const kind = error?.code ?? error?.name ?? 'answered'
    told.set(kind, (told.get(kind) ?? 0) + 1)
  }
  if (heard.some((message) => typeof message !== 'string'))
    strange.push(`${form} ${command}: a message that is no text`)
  redis.close()
  server.stop()
  done += 1
}

/** Each verb of a queue with answers that are well formed, and none of its script's. */
async function playVerbs(rounds: number): Promise<void> {
  let answer = '+OK\r\n'
  const server = await HostileServer.start((asked) =>
    asked.command.startsWith('EVAL') ? answer : civil(asked),
  )
  const redis = connectRedis(server.urlFor('server'), { deadlineMs: 2_000 })
  const jobs = openQueue(redis, 'fuzz.queue')
  const filter = parseFilter('state:buried', 0)
  const settlement = { id: 'a', token: '1', verdict: 'completed', text: '{}' } as const
  const entry = { worker: 'w', process: 'p', pod: 'p', podUid: 'u', poolUid: 'u', node: 'n' }
  const registration = { ...entry, slots: 1, isolation: 'Fork', isolationNote: '', version: '1' }
  const asks: Record<string, () => Promise<unknown>> = {
    enqueue: () => jobs.enqueue([newJob('task', {})]),
    register: () => jobs.register(registration),
    renew: () => jobs.renew('w'),
    deregister: () => jobs.deregister('w'),
    resync: () => jobs.resync('w', 1),
    settleAndClaim: () =>
      jobs.settleAndClaim({ worker: 'w', sequence: 1, settlements: [settlement], wanted: 2 }),
    reap: () => jobs.reap({ worker: 'w', evidence: 'sure', reason: 'gone' }),
    report: () => jobs.report('w', [{ id: 'a', token: '1', json: '1' }]),
    cancel: () => jobs.cancel('a'),
    retry: () => jobs.retry(['a']),
    delete: () => jobs.delete(['a']),
    configure: () => jobs.configure(defaultSettings),
    release: () => jobs.release('u'),
    pause: () => jobs.pause(),
    drain: () => jobs.drain(['u'], 1),
    dismiss: () => jobs.dismiss('w'),
    depth: () => jobs.depth(),
    workers: () => jobs.workers(),
    job: () => jobs.job('a'),
    jobs: () => jobs.jobs('buried'),
    witness: () => jobs.witness({ enqueued: 1, claimed: 1 }),
    find: () => jobs.find(filter, { limit: 200 }),
    purge: () => jobs.purge(['ready', 'buried']),
    why: () => jobs.why('a'),
    events: () => toList(jobs.events({ follow: false })),
    history: () => jobs.history({ series: ['completed', 'wait.p95', 'ready'], by: 'task' }),
    rests: () => jobs.rests(),
    listLimits: () => jobs.listLimits(),
    keyState: () => jobs.keyState('a'),
    forward: () => jobs.forward(),
    workersPage: () => jobs.workersPage({ limit: 10 }),
    errorGroups: () => jobs.errors.list(),
    errorGroup: () => jobs.errors.get('v1:0123456789abcdef'),
    flow: () => jobs.flows.details('a'),
    flowPlace: () => jobs.flows.place('a', 'b'),
    flowResult: () => jobs.flows.result('a'),
    flowRetry: () => jobs.flows.retry('a', { from: 'b' }),
    flows: () => jobs.flows.list(),
    schedule: () => jobs.schedules.get('a'),
    schedules: () => jobs.schedules.list(),
    owners: () => jobs.schedules.owners(),
    fireDue: () => jobs.schedules.fireDue(),
    runSchedule: () => jobs.schedules.run('a'),
    actions: () => jobs.actions.list(),
    counted: () => jobs.actions.count({ verb: 'retry', filter }, { withinMs: 100 }),
    step: () => jobs.actions.step('a', 'me'),
    undo: () => jobs.actions.undo('a'),
  }
  for (let round = 0; round < rounds; round++)
    for (const [verb, ask] of Object.entries(asks)) {
      answer = ENDLESS_REPLIES[round] ?? randomReply(random)
      try {
        const believed = JSON.stringify(await ask(), (_, value) =>
          Number.isNaN(value) ? 'NOT A NUMBER' : value,
        )
        if (believed?.includes('NOT A NUMBER')) strange.push(`${verb} ${JSON.stringify(answer)}: ${believed}`)
      } catch (error) {
        const { name } = error as Error
        if (!['RedisUnavailable', 'RedisDataInvalid', 'ReplyError', 'QueueRefused'].includes(name))
          strange.push(`${verb} ${JSON.stringify(answer)}: ${(error as Error).stack}`)
      }
      verbs += 1
    }
  redis.close()
  server.stop()
}

async function toList<T>(all: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const each of all) list.push(each)
  return list
}

const queue = cases.values()
const memoryBefore = process.memoryUsage().rss
await Promise.all(
  Array.from({ length: LANES }, async () => {
    for (const each of queue) await play(each)
  }),
)
await playVerbs(10 * randoms)
// What is thrown on a next tick has been by then.
await new Promise((resolve) => setTimeout(resolve, 500))
console.log(
  JSON.stringify({
    cases: cases.length,
    done,
    verbs,
    uncaught: uncaught.length,
    firstUncaught: uncaught.slice(0, 3),
    strange: strange.slice(0, 10),
    told: Object.fromEntries(told),
    grownBytes: Math.max(0, process.memoryUsage().rss - memoryBefore),
    stillOpen: process.getActiveResourcesInfo().filter((name) => /TCP|TLS/.test(name)).length,
  }),
)
process.exit(0)
