// Finding jobs: in every state, by every index, page by page while others come and go, and within bounds.
import {
  type Connection,
  connectRedis,
  defaultSettings,
  type FindOptions,
  type FoundJobs,
  type JobOptions,
  newJob,
  openQueue,
  parseFilter,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { FaultProxy } from '../../fault-proxy.ts'
import { redisUrl } from '../../redis.ts'

let redis: Connection
let queue: Queue
let tests = 0
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(async () => {
  tests += 1
  queue = openQueue(redis, `find.${process.pid}-${tests}`)
  const nothing = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }
  await queue.register({ ...nothing, worker: 'p:1', process: 'p', podUid: 'u', slots: 9 })
})

const find = (text: string, options: FindOptions = {}) => queue.find(parseFilter(text, Date.now()), options)
const idsOf = ({ jobs }: FoundJobs) => jobs.map(({ id }) => id)
const ids = async (text: string, options: FindOptions = {}) => idsOf(await find(text, options))
const add = (id: string, options: JobOptions = {}, task = 'task', payload: unknown = null) =>
  queue.enqueue([newJob(task, payload, { id, ...options })])
const claim = async (wanted = 1) => (await queue.settleAndClaim({ worker: 'p:1', wanted })).claims
async function settle(verdict: 'completed' | 'terminal' | 'failed', text?: string): Promise<void> {
  const [first] = await claim()
  if (!first) throw new Error('no job was ready')
  const said =
    text ?? (verdict === 'completed' ? '1 task 1\n{"kept":"in the result"}' : '{"outcome":"failed"}')
  await queue.settleAndClaim({
    worker: 'p:1',
    settlements: [{ id: first.id, token: first.token, verdict, text: said }],
  })
}

const GROUP = 'v1:0123456789abcdef'

/** One job in each state. */
async function oneOfEach(): Promise<void> {
  await add('done', {}, 'task', 'x')
  await settle('completed')
  await add('lost', { maxAttempts: 3 }, 'Send', { to: 'jane "J" doe' })
  await settle(
    'terminal',
    '{"outcome":"failed","group":"v1:0123456789abcdef","error":{"name":"Error","message":"boom"}}',
  )
  await add('runs', {}, 'Send')
  await claim()
  await add('off', { delayMs: 3_600_000 })
  await queue.cancel('off')
  await add('later', { delayMs: 3_600_000 }, 'SendLater')
  await add('waits', { priority: 'low' })
}

test('every state has its place, and each job says what it is', async () => {
  await oneOfEach()
  const { jobs, ...rest } = await find('')
  expect(rest).toEqual({ scanned: 6, isDone: true, total: 6 })
  expect(jobs).toMatchObject([
    { id: 'runs', state: 'held', worker: 'p:1', attempts: 1, task: 'Send' },
    { id: 'waits', state: 'ready', lane: 'low', attempts: 0 },
    { id: 'later', state: 'delayed', dueAtMs: expect.any(Number) },
    {
      id: 'lost',
      state: 'buried',
      buriedAtMs: expect.any(Number),
      attempts: 1,
      why: 'Error: boom',
      error: GROUP,
    },
    { id: 'off', state: 'cancelled', endedAtMs: expect.any(Number) },
    { id: 'done', state: 'completed', attempts: 1 },
  ])
})

test.each([
  ['state:failed', ['lost'], 1],
  ['state:completed', ['done'], undefined],
  ['state:completed,cancelled,expired', ['off', 'done'], 2],
  ['-state:completed -state:cancelled -state:expired', ['runs', 'waits', 'later', 'lost'], 4],
  ['state:held,ready', ['runs', 'waits'], 2],
  ['state:held state:ready', [], 0],
  ['task:Send*', ['runs', 'later', 'lost'], undefined],
  ['task:Send -state:held', ['lost'], undefined],
  ['id:waits,nobody,done', ['waits', 'done'], undefined],
  ['id:waits,done state:ready', ['waits'], undefined],
  ['worker:p:1', ['runs'], undefined],
  ['worker:p:1 state:ready', [], undefined],
  ['worker:p*', ['runs'], undefined],
  ['error:v1:0123456789abcdef', ['lost'], undefined],
  ['error:v1:0123456789abcdef state:ready', [], undefined],
  ['error:v1:01*', ['lost'], undefined],
  ['-error:* state:buried', [], undefined],
  ['attempt:>=1', ['runs', 'lost', 'done'], undefined],
  ['since:1h', ['runs', 'waits', 'later', 'lost', 'off', 'done'], undefined],
  ['until:1h', [], undefined],
  [String.raw`"jane \"J\""`, ['lost'], undefined],
  ['"in the result"', ['done'], undefined],
  ['"Send"', [], undefined],
  ['-"jane" state:buried', [], undefined],
])('%j finds %j', async (text, expected, total) => {
  await oneOfEach()
  const found = await find(text)
  expect(idsOf(found)).toEqual(expected)
  expect(found.total).toBe(total)
  expect(found.isDone).toBe(true)
})

/** Outcomes of one millisecond are not told apart. */
async function nextMillisecond(): Promise<void> {
  const time = async () => {
    const [seconds, micros] = (await redis.call('TIME')) as [string, string]
    return Math.floor(Number(seconds) * 1_000 + Number(micros) / 1_000)
  }
  const now = await time()
  await eventually(async () => (await time()) > now, { everyMs: 1 })
}

/** All pages, with something done to the queue between them. */
async function pagesOf(text: string, limit: number, between: (page: number) => Promise<unknown>) {
  const all: string[] = []
  let cursor: string | undefined
  for (let page = 0; page === 0 || cursor !== undefined; page += 1) {
    const found = await find(text, { limit, cursor })
    all.push(...idsOf(found))
    cursor = found.cursor
    expect(found.isDone).toBe(cursor === undefined)
    await between(page)
  }
  return all
}

const named = (count: number, what = 'job') =>
  Array.from({ length: count }, (_, n) => `${what}-${String(n).padStart(3, '0')}`)
const addAll = (ids: readonly string[], options: JobOptions = {}) =>
  queue.enqueue(ids.map((id) => newJob('task', null, { id, ...options })))

test('pages of ready jobs neither repeat nor skip one while the first are claimed, cancelled and others come', async () => {
  await addAll(named(40, 'low'), { priority: 'low' })
  await addAll(named(40))
  const seen = await pagesOf('state:ready', 7, async (page) => {
    await claim(3)
    await queue.cancel(`low-${String(39 - page).padStart(3, '0')}`)
    if (page === 2) await addAll(named(5, 'new'))
  })
  expect(new Set(seen).size).toBe(seen.length)
  expect(seen.filter((id) => id.startsWith('job'))).toEqual(named(40))
  expect(seen.filter((id) => id.startsWith('new'))).toEqual(named(5, 'new'))
  const unseen = named(40, 'low').filter((id) => !seen.includes(id))
  for (const id of unseen) expect((await queue.job(id))?.state).not.toBe('ready') // claimed or cancelled before its page
})

test('pages of ready jobs go on where the last one of a page was claimed', async () => {
  await addAll(named(30))
  const seen = await pagesOf('state:ready', 5, () => claim(6))
  expect(new Set(seen).size).toBe(seen.length)
  // What was claimed before its page is not ready any more.
  expect(seen).toEqual([
    ...named(5),
    ...named(30).slice(6, 11),
    ...named(30).slice(12, 17),
    ...named(30).slice(18, 23),
    ...named(30).slice(24, 29),
  ])
})

test('pages of jobs of many keys have each job once, also those that a limit holds back', async () => {
  const keys = Array.from({ length: 60 }, (_, n) => `k${n}`)
  await queue.setLimits('k7', { maxBusy: 1 })
  await queue.setLimits('k8', { rate: { jobs: 1, periodMs: 3_600_000 } })
  for (const key of keys) await addAll([`${key}-a`, `${key}-b`, `${key}-c`], { key })
  const claimed = (await claim(130)).map(({ id }) => id)
  expect([await queue.keyState('k7'), await queue.keyState('k8')]).toMatchObject([
    { waiting: 2 },
    { waiting: 2 },
  ])
  await addAll(named(5, 'low'), { priority: 'low' })
  await addAll(named(5, 'urgent'), { priority: 'urgent' })
  const waiting = keys.flatMap((key) => [`${key}-a`, `${key}-b`, `${key}-c`])
  const expected = waiting.filter((id) => !claimed.includes(id)).sort()
  expect(expected).toHaveLength(waiting.length - claimed.length)
  for (const limit of [1, 7, 50]) {
    const seen = await pagesOf('state:ready', limit, async () => {})
    expect(seen.slice(0, 10)).toEqual([...named(5, 'urgent'), ...named(5, 'low')])
    expect(seen.slice(10).sort()).toEqual(expected)
  }
})

test('pages of jobs of keys leave none out while keys are served, held back and let go on', async () => {
  const keys = Array.from({ length: 40 }, (_, n) => `k${n}`)
  for (const key of keys) await addAll(named(5, key), { key })
  for (const key of keys.slice(0, 20)) await queue.setLimits(key, { maxBusy: 1 })
  const left = new Set(keys.flatMap((key) => named(5, key)))
  const seen = await pagesOf('state:ready', 9, async () => {
    const claims = await claim(3)
    const verdict = { verdict: 'completed', text: '1 task 1\nnull' } as const
    await queue.settleAndClaim({
      worker: 'p:1',
      settlements: claims.map(({ id, token }) => ({ id, token, ...verdict })),
    })
    for (const { id } of claims) left.delete(id)
  })
  for (const id of left) expect(seen).toContain(id)
})

test('pages of delayed jobs with one due time go on behind a job that has gone', async () => {
  await addAll(named(60), { at: new Date(Date.now() + 3_600_000) })
  const seen = await pagesOf('state:delayed', 7, async (page) => {
    await queue.cancel(named(60)[7 * page + 6] ?? '') // the last one of this page
    await addAll([`early-${page}`], { delayMs: 60_000 })
  })
  expect(seen).toEqual(named(60))
})

test('pages of buried and of ended jobs are newest first, and new ones do not shift them', async () => {
  for (const id of named(12, 'bad')) {
    await add(id)
    await settle('terminal')
  }
  for (const id of named(12, 'good')) {
    await add(id)
    await settle('completed')
  }
  const more = (verdict: 'terminal' | 'completed') => async (page: number) => {
    await add(`late-${verdict}-${page}`)
    await settle(verdict)
  }
  const buried = await pagesOf('state:buried', 5, more('terminal'))
  expect(buried).toEqual(named(12, 'bad').sort(newestFirst))
  const ended = await pagesOf('state:completed,cancelled,expired', 5, more('completed'))
  expect(ended).toEqual(named(12, 'good').reverse())
})
/** Of two that were buried in one ms the order is that of their names. */
const newestFirst = (a: string, b: string) => (a < b ? 1 : -1)

test('pages of held jobs go by worker and id, whoever renews meanwhile', async () => {
  await queue.register({
    ...{ worker: 'q:1', process: 'q', pod: '', podUid: 'v', poolUid: '', node: '', slots: 9 },
    ...{ isolation: '', isolationNote: '', version: '' },
  })
  await addAll(named(10))
  await claim(5)
  await queue.settleAndClaim({ worker: 'q:1', wanted: 5 })
  const seen = await pagesOf('state:held', 3, (page) => queue.renew(page % 2 === 0 ? 'p:1' : 'q:1'))
  expect(seen).toEqual(named(10))
})

test.each(['worker:p:1,p:1', `error:${GROUP},${GROUP}`, 'tag:a,a'])(
  '%s, a name that stands twice, is one place',
  async (filter) => {
    await add('lost', { tags: ['a'] })
    await settle('terminal', `{"outcome":"failed","group":"${GROUP}"}`)
    await add('runs')
    await claim()
    const page = await find(filter)
    expect(page.jobs).toHaveLength(1)
    expect(page.isDone).toBe(true)
  },
)

describe('tags', () => {
  const of = (id: string, tags: string[], more: JobOptions = {}) => add(id, { tags, ...more })

  test('find jobs that wait, run or are buried, newest first, each once', async () => {
    await of('bad', ['order:1', 'vip'])
    await settle('terminal')
    await of('runs', ['vip'])
    await claim()
    await new Promise((resolve) => setTimeout(resolve, 2)) // another ms
    await of('waits', ['order:2', 'vip'])
    await new Promise((resolve) => setTimeout(resolve, 2))
    await of('later', ['order:2'], { delayMs: 60_000 })
    await add('plain')
    const vip = await find('tag:vip')
    expect(vip).toMatchObject({ total: 3, isDone: true, scanned: 3 })
    expect(vip.jobs.map(({ id, state, tags }) => [id, state, tags])).toEqual([
      ['waits', 'ready', ['order:2', 'vip']],
      ['runs', 'held', ['vip']],
      ['bad', 'buried', ['order:1', 'vip']],
    ])
    expect(await ids('tag:vip state:held')).toEqual(['runs'])
    expect(await ids('tag:order:1,order:2')).toEqual(['bad', 'later', 'waits'])
    expect((await ids('tag:order:2,vip')).sort()).toEqual(['bad', 'later', 'runs', 'waits'])
    expect((await ids('-tag:vip')).sort()).toEqual(['later', 'plain'])
    expect((await ids('tag:vip -tag:order:2')).sort()).toEqual(['bad', 'runs'])
    expect(await ids('tag:nobody')).toEqual([])
  })

  test.each<[string, (id: string) => Promise<unknown>]>([
    ['completed', () => settle('completed')],
    ['cancelled while it waits', (id) => queue.cancel(id)],
    [
      'cancelled while it runs',
      async () => {
        const [held] = await claim()
        await queue.settleAndClaim({
          worker: 'p:1',
          settlements: [{ id: 'x', token: held?.token ?? '', verdict: 'cancelled', text: '' }],
        })
      },
    ],
    [
      'buried and deleted',
      async (id) => {
        await settle('terminal')
        expect(await ids('tag:t')).toEqual([id])
        await queue.delete([id])
      },
    ],
    ['purged', () => queue.purge(['ready'])],
    [
      'deleted in bulk',
      async () => {
        await settle('terminal')
        await queue.actions.run(
          await queue.actions.create({ verb: 'delete', filter: parseFilter('tag:t', 0) }),
        )
      },
    ],
  ])('of a job that was %s are gone with their keys', async (_how, end) => {
    await of('x', ['t', 'u'])
    expect(await ids('tag:t')).toEqual(['x'])
    await end('x')
    expect(await ids('tag:t')).toEqual([])
    expect(await redis.call('EXISTS', `${prefixOf(queue.name)}tag:t`, `${prefixOf(queue.name)}tag:u`)).toBe(0)
  })

  test('of a job whose worker died stay, and a known id adds none', async () => {
    await of('x', ['t'])
    await claim()
    await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'test' })
    expect(await ids('tag:t')).toEqual(['x'])
    await of('x', ['other'])
    expect(await ids('tag:other')).toEqual([])
  })

  test('pages of a tag with many jobs of one ms neither repeat nor skip one', async () => {
    await addAll(named(250), { tags: ['many'] })
    const seen = await pagesOf('tag:many', 60, (page) => queue.cancel(named(250)[249 - 60 * page - 59] ?? ''))
    expect(seen).toEqual(named(250).reverse())
  })
})

test('a queue with few jobs is one page, however far away Redis is', async () => {
  await oneOfEach()
  const proxy = await FaultProxy.start(Number(new URL(redisUrl()).port))
  const distant = connectRedis(proxy.url)
  try {
    await distant.ready()
    proxy.slow(40)
    const page = await openQueue(distant, queue.name).find(parseFilter('', Date.now()))
    expect(idsOf(page)).toEqual(idsOf(await find('')))
    expect(page).toMatchObject({ scanned: 6, isDone: true })
  } finally {
    distant.close()
    await proxy.stop()
  }
})

test('a page looks at 5,000 jobs at most and 250 at least, says so, and goes on', async () => {
  for (let i = 0; i < 12; i += 1) await addAll(named(1_000, `job-${i}`))
  await add('needle', {}, 'rare', { a: 'needle' })
  const first = await find('task:rare')
  expect(first).toMatchObject({ jobs: [], isDone: false })
  expect(first.scanned).toBeLessThanOrEqual(5_000)
  expect(first.scanned).toBeGreaterThanOrEqual(250)
  expect(await pagesOf('task:rare', 50, async () => {})).toEqual(['needle'])
  expect(await pagesOf('"needle"', 50, async () => {})).toEqual(['needle'])
})

test('one slice of large payloads is bounded', async () => {
  await queue.configure({ ...defaultSettings, ownerUid: 'test', maxPayloadBytes: 2_000_000 })
  const big = 'x'.repeat(1_900_000)
  for (const id of named(6)) await add(id, {}, 'task', big)
  const before = performance.now()
  const seen = await pagesOf('"no such text"', 50, async () => {})
  expect(seen).toEqual([])
  expect(performance.now() - before).toBeLessThan(5_000)
})

test.each([
  'ready',
  'buried 1 x',
  'ready low x',
  'ready low 1 x y',
  'tag:x',
  '',
  'ready \n',
  `ready ${'x'.repeat(9_000)}`,
])('the cursor %j of another filter, or of nobody, is refused or harmless', async (cursor) => {
  await addAll(named(3))
  const found = await find('state:ready', { cursor }).catch((error) => error)
  if (found instanceof Error) expect(found).toMatchObject({ code: 'FILTER_INVALID' })
  else expect(idsOf(found)).toEqual(named(3))
})

test.each([
  ['state:delayed', 'delayed soon later'],
  ['state:delayed', 'delayed nan later'],
  ['state:buried', 'buried 1 lost x'],
  ['state:ready', 'ready low 99999999999999999999 waits'],
  ['state:completed', 'ended done'],
  ['state:held', 'held p:1'],
  ['tag:x', 'tag:x now waits'],
  ['id:a,b', 'id x'],
])('of %s the made-up cursor %j is refused, with what to give instead', async (filter, cursor) => {
  await oneOfEach()
  await expect(find(filter, { cursor })).rejects.toMatchObject({
    code: 'FILTER_INVALID',
    message: expect.stringContaining('give the cursor of the page before, or none'),
  })
})

test.each(['deleted', 'expired'])(
  'an id whose first outcome was %s, and that was used again, is listed once',
  async (how) => {
    const key = (name: string) => prefixOf(queue.name) + name
    for (const id of ['again', 'b', 'c']) {
      await add(id)
      await settle('completed')
    }
    if (how === 'deleted') await queue.delete(['again'])
    else await redis.call('PEXPIRE', key('job:again'), 0)
    await nextMillisecond()
    await add('again')
    await settle('completed')
    expect(await redis.call('LRANGE', key('completed'), 0, -1)).toEqual(['again', 'c', 'b', 'again'])
    for (const limit of [1, 2, 3, 50])
      expect(await pagesOf('state:completed', limit, async () => {})).toEqual(['again', 'c', 'b'])
  },
)

test('of two outcomes of an id in one moment one is listed', async () => {
  await add('again')
  await settle('completed')
  await queue.delete(['again'])
  await add('again')
  await settle('completed')
  expect(await ids('state:completed')).toEqual(['again'])
})

test('finding writes nothing, and what is foreign in a list is passed over', async () => {
  await oneOfEach()
  const key = (name: string) => prefixOf(queue.name) + name
  await redis.call('RPUSH', key('ready:low'), 'no-such-job', 'x'.repeat(300))
  await redis.call('LPUSH', key('completed'), 'ran-out')
  expect(await ids('state:ready')).toEqual(['waits'])
  expect(await ids('state:completed')).toEqual(['done'])
})
