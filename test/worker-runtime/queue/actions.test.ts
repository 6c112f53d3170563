// Bulk actions: each job once, whoever drives; what changed meanwhile is skipped; what was deleted comes back.
import {
  type ActionVerb,
  type Connection,
  defaultSettings,
  type JobOptions,
  type NewAction,
  newJob,
  openQueue,
  parseFilter,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { loadScripts } from '../../../worker-runtime/src/queue/scripts.ts'
import { ownQueues } from './own-queues.ts'

let redis: Connection
let queue: Queue
ownQueues('actions', { slots: 9, isolation: '', version: '' }, (itsQueue, connection) => {
  queue = itsQueue
  redis = connection
})

const named = (count: number, what = 'job') =>
  Array.from({ length: count }, (_, n) => `${what}-${String(n).padStart(4, '0')}`)
const add = (ids: readonly string[], options: JobOptions = {}, task = 'task') =>
  queue.enqueue(ids.map((id) => newJob(task, { of: id }, { id, ...options })))
async function settleAll(verdict: 'completed' | 'terminal'): Promise<void> {
  for (;;) {
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 1_000 })
    if (claims.length === 0) return
    const text =
      verdict === 'completed'
        ? '1 task 1\n"done"'
        : '{"outcome":"failed","group":"v1:0123456789abcdef","message":"no"}'
    const settlements = claims.map(({ id, token }) => ({ id, token, verdict, text }))
    await queue.settleAndClaim({ worker: 'p:1', settlements })
  }
}
const bury = async (ids: readonly string[], task = 'task') => {
  await add(ids, {}, task)
  await settleAll('terminal')
}
const of = (verb: ActionVerb, text: string): NewAction => ({ verb, filter: parseFilter(text, Date.now()) })
const start = (verb: ActionVerb, text: string, more: Partial<NewAction> = {}) =>
  queue.actions.create({ ...of(verb, text), ...more })
const act = async (verb: ActionVerb, text: string, more: Partial<NewAction> = {}) =>
  queue.actions.run(await start(verb, text, more))
const stateOf = async (id: string) => (await queue.job(id))?.state

test('a retry takes the buried jobs of the filter and no others, page by page', async () => {
  await bury(named(450))
  await bury(named(3, 'other'), 'other')
  await add(['waits'])
  const pages: number[] = []
  const id = await start('retry', 'task:task', { who: 'ann', reason: 'fixed', total: 450 })
  const action = await queue.actions.run(id, { onProgress: ({ done }) => pages.push(done) })
  expect(pages).toEqual([200, 400, 450])
  expect(action).toMatchObject({
    ...{ verb: 'retry', state: 'done', filter: 'task:task', who: 'ann', reason: 'fixed', total: 450 },
    ...{ done: 450, skipped: 0, failed: 0, reasons: [], endedAtMs: expect.any(Number) },
  })
  expect(await queue.depth()).toMatchObject({ ready: 451, buried: 3 })
  expect(await queue.actions.list()).toEqual([action])
})

test('a job that was buried again after the action began is not taken again', async () => {
  await bury(named(300))
  const id = await start('retry', 'state:buried')
  await new Promise((resolve) => setTimeout(resolve, 5)) // another ms
  const action = await queue.actions.run(id, { onProgress: () => {} })
  expect(action.done).toBe(300)
  await bury(['late'])
  const again = await start('retry', 'state:buried')
  await new Promise((resolve) => setTimeout(resolve, 5))
  await bury(['later'])
  expect((await queue.actions.run(again)).done).toBe(301)
  expect(await stateOf('later')).toBe('buried')
})

test('a cancel ends what waits, tells the workers of what runs, and leaves the rest', async () => {
  await bury(['failed'])
  await add(named(2, 'held'))
  await queue.settleAndClaim({ worker: 'p:1', wanted: 2 })
  await add(named(3, 'ready'))
  await add(named(3, 'delayed'), { delayMs: 60_000 })
  expect(await act('cancel', '-id:ready-0001')).toMatchObject({ done: 7, skipped: 0 })
  expect(await stateOf('ready-0001')).toBe('ready')
  expect((await queue.job('held-0000'))?.cancelling).toBe(true)
  expect(await stateOf('delayed-0002')).toBe('cancelled')
  expect(await stateOf('failed')).toBe('buried')
})

test('what has another state when its turn comes is skipped, and the record says why', async () => {
  await add(['a', 'b', 'c'])
  await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
  const ids = ['a', 'b', 'c', 'nobody']
  const id = await start('cancel', '', { ids })
  await queue.cancel('b')
  // The page was read before: a driver of old news.
  const args = [id, 'me', '', '', 'ready ', 'a', 'b', 'c', 'c', 'nobody']
  const scripts = loadScripts()
  await redis.call(
    'EVAL',
    scripts.action.source,
    2,
    prefixOf(queue.name),
    `${prefixOf(queue.name)}config`,
    'take',
    id,
    'me',
  )
  const call = () =>
    redis.call('EVAL', scripts.act.source, 2, prefixOf(queue.name), `${prefixOf(queue.name)}config`, ...args)
  expect(await call()).toBe(1)
  expect(await call()).toBe(0) // it is over
  expect(await queue.actions.get(id)).toMatchObject({
    ...{ done: 1, skipped: 3, failed: 1, state: 'done' },
    reasons: [
      { id: 'a', reason: 'it is held' },
      { id: 'b', reason: 'it is cancelled' },
      { id: 'c', reason: 'it is done already' },
      { id: 'nobody', reason: 'it is not known any more' },
    ],
  })
})

test('two drivers at once do each job once, also where the lease of one has run out', async () => {
  await bury(named(1_000))
  const id = await start('retry', 'state:buried', { total: 1_000 })
  const key = `${prefixOf(queue.name)}action:${id}`
  const steal = async () => redis.call('HSET', key, 'driverUntilMs', 1)
  const drive = async (driver: string) => {
    for (;;) {
      await steal()
      const stepped = await queue.actions.step(id, driver)
      if (stepped?.action.state !== 'running') return
    }
  }
  await Promise.all([drive('one'), drive('two'), drive('three')])
  expect(await queue.actions.get(id)).toMatchObject({ state: 'done', done: 1_000, skipped: 0, failed: 0 })
  expect((await queue.depth()).ready).toBe(1_000)
})

test('another driver goes on where one has died, when its time is over', async () => {
  const clock = `${prefixOf(queue.name)}clock`
  const clocked = openQueue(
    redis,
    queue.name,
    loadScripts({ clock: "{ math.floor(redis.call('GET', KEYS[1] .. 'clock') / 1000), 0 }" }),
  )
  await bury(named(500))
  const nowMs = Date.now() + 1_000
  await redis.call('SET', clock, nowMs)
  const id = await clocked.actions.create(of('retry', 'state:buried'))
  expect(await clocked.actions.step(id, 'dies')).toMatchObject({ isBusy: false, action: { done: 200 } })
  expect(await clocked.actions.step(id, 'next')).toMatchObject({
    isBusy: true,
    action: { done: 200, driver: 'dies' },
  })
  await redis.call('SET', clock, nowMs + 12_000)
  expect(await clocked.actions.step(id, 'next')).toMatchObject({ isBusy: false, action: { done: 400 } })
  expect(await clocked.actions.step(id, 'dies')).toMatchObject({ isBusy: true })
  expect(await clocked.actions.run(id)).toMatchObject({ state: 'running', driver: 'next' })
  expect(await clocked.actions.step(id, 'next')).toMatchObject({ action: { done: 500, state: 'done' } })
  await redis.call('DEL', clock)
})

test('an aborted action goes on no further', async () => {
  await bury(named(500))
  const id = await start('retry', 'state:buried')
  const action = await queue.actions.run(id, { isStopped: () => true })
  expect(action).toMatchObject({ state: 'running', done: 200 })
  expect(await queue.actions.abort(id)).toMatchObject({ state: 'aborted', done: 200 })
  expect(await queue.actions.run(id)).toMatchObject({ state: 'aborted', done: 200 })
  expect(await queue.depth()).toMatchObject({ buried: 300, ready: 200 })
})

describe('a delete', () => {
  test('frees the ids at once, and comes back whole for a minute', async () => {
    await bury(named(250, 'bad'))
    await add(['done'])
    await settleAll('completed')
    const before = {
      buried: (await queue.jobs('buried', { limit: 300 })).map((job) => job),
      done: await queue.job('done'),
      bad: await queue.job('bad-0007'),
    }
    const id = await start('delete', '')
    expect(await queue.actions.run(id)).toMatchObject({ done: 251, state: 'done' })
    expect(await queue.job('done')).toBeUndefined()
    expect((await queue.depth()).buried).toBe(0)
    expect(await queue.enqueue([newJob('task', 'new', { id: 'bad-0000' })])).toEqual(['created'])
    const ttl = Number(await redis.call('PTTL', `${prefixOf(queue.name)}trash:${id}:bad-0007`))
    expect(ttl).toBeGreaterThan(50_000)
    expect(ttl).toBeLessThanOrEqual(60_000)

    expect(await queue.actions.undo(id)).toBe(250) // the id of one is in use
    expect(await queue.jobs('buried', { limit: 300 })).toEqual(
      before.buried.filter((job) => job.id !== 'bad-0000'),
    )
    expect(await queue.job('bad-0007')).toEqual(before.bad)
    expect(await queue.job('done')).toEqual(before.done)
    expect((await queue.find(parseFilter('state:completed', 0))).jobs.map((job) => job.id)).toEqual(['done'])
    expect(await queue.actions.get(id)).toMatchObject({ state: 'undone', restored: 250 })
    expect(await queue.actions.undo(id)).toBe(0)
    const told: [string, number][] = []
    for await (const { changes } of queue.events({ after: '0', follow: false }))
      told.push(...changes.map(({ kind, count }): [string, number] => [kind, count]))
    expect(told.filter(([kind]) => kind === 'restored').reduce((sum, [, count]) => sum + count, 0)).toBe(250)
    expect((await queue.job('bad-0000'))?.state).toBe('ready')
    expect(await queue.retry(['bad-0007'])).toEqual(['ready'])
  })

  test('an outcome that comes back still runs out when its retention is over', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', completedMaxAgeMs: 100_000 })
    await add(['done'])
    await settleAll('completed')
    const id = await start('delete', 'state:completed')
    await queue.actions.run(id)
    await queue.actions.undo(id)
    const ttl = Number(await redis.call('PTTL', `${prefixOf(queue.name)}job:done`))
    expect(ttl).toBeGreaterThan(60_000)
    expect(ttl).toBeLessThanOrEqual(100_000)
  })

  test('gives back what it deleted itself, where another one deleted a later job of the same id', async () => {
    await bury(['a'])
    const before = await queue.job('a')
    const first = await start('delete', 'state:buried')
    await queue.actions.run(first)
    await add(['a'])
    await settleAll('completed')
    const second = await start('delete', '', { ids: ['a'] })
    await queue.actions.run(second)
    expect(await queue.actions.undo(first)).toBe(1)
    expect(await queue.job('a')).toEqual(before)
    expect(await queue.actions.undo(second)).toBe(0) // its id is in use
  })

  test('a job comes back once, where its id was used and cancelled meanwhile', async () => {
    await bury(['a'])
    const id = await start('delete', 'state:buried')
    await queue.actions.run(id)
    await add(['a', 'b'])
    await queue.cancel('a') // its entry stays in the lane
    await queue.delete(['a'])
    expect(await queue.actions.undo(id)).toBe(1)
    expect(await queue.retry(['a'])).toEqual(['ready'])
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 10 })
    expect(claims.map((claim) => claim.id)).toEqual(['b', 'a'])
  })

  test('no other action can be undone, nor is it stopped', async () => {
    await bury(named(300))
    const id = await start('retry', 'state:buried')
    await queue.actions.step(id, 'me')
    expect(await queue.actions.undo(id)).toBe(0)
    expect(await queue.actions.get(id)).toMatchObject({ state: 'running', done: 200 })
  })

  test('an undo ends an action that still runs, and puts back what it has deleted so far', async () => {
    await bury(named(500))
    const id = await start('delete', 'state:buried')
    await queue.actions.step(id, 'me')
    expect(await queue.actions.undo(id)).toBe(200)
    expect(await queue.actions.step(id, 'me')).toMatchObject({ action: { state: 'undone' } })
    expect((await queue.depth()).buried).toBe(500)
  })
})

test('the count before an action is exact, with samples, and says where it is not', async () => {
  await bury(named(1_200))
  await bury(named(5, 'other'), 'other')
  expect(await queue.actions.count(of('retry', 'state:buried'))).toMatchObject({
    count: 1_205,
    isExact: true,
  })
  const counted = await queue.actions.count(of('delete', 'task:task'))
  expect(counted).toMatchObject({ count: 1_200, isExact: true })
  expect(counted.samples).toHaveLength(5)
  const hurried = await queue.actions.count(of('delete', 'task:task'), { withinMs: 0 })
  // It may have stopped behind the last one, and not know that it is the last.
  expect(hurried.count).toBeLessThanOrEqual(1_200)
  if (hurried.isExact) expect(hurried.count).toBe(1_200)
  expect(await queue.actions.count({ ...of('cancel', ''), ids: named(3, 'other') })).toMatchObject({
    count: 0,
  })
  expect((await queue.depth()).buried).toBe(1_205)
})

test.each<[ActionVerb, string, Partial<NewAction>, RegExp]>([
  ['retry', 'state:ready', {}, /retry does nothing to jobs in this state.*states buried/],
  ['cancel', 'state:buried', {}, /ready, delayed, held/],
  ['delete', '', { ids: [] }, /name 1 to 1000 jobs/],
  ['delete', '', { ids: ['a b'] }, /an id is|the id is invalid/],
  ['delete', '', { ids: named(1_001) }, /name 1 to 1000 jobs/],
])('%s of %j with %j is refused', async (verb, text, more, message) => {
  await expect(start(verb, text, more)).rejects.toThrow(message)
  expect(await queue.actions.list()).toEqual([])
})

test('1,000 named jobs are one action', async () => {
  const ids = named(1_000)
  await add(ids)
  const { id, ...action } = await act('cancel', '', { ids })
  expect(action).toMatchObject({ done: 1_000, filter: '' })
  // The record stays among 1,000 others, its ids need not.
  expect(await redis.call('HEXISTS', `${prefixOf(queue.name)}action:${id}`, 'ids')).toBe(0)
})

test('at most 1,000 records are kept, and texts in them are short', async () => {
  for (let i = 0; i < 1_005; i += 1) await start('retry', 'state:buried', { reason: `${i}`.padEnd(500, '!') })
  const all = await queue.actions.list({ limit: 5_000 })
  expect(all).toHaveLength(1_000)
  expect(all[0]?.reason).toHaveLength(200)
  const paged: string[] = []
  let after: string | undefined
  do {
    const page = await queue.actions.list({ limit: 400, after })
    paged.push(...page.map(({ id }) => id))
    after = page.at(-1)?.id
  } while (after !== undefined)
  expect(paged).toEqual(all.map(({ id }) => id))
  expect(await queue.actions.list({ after: 'forgotten' })).toEqual([])
  const keys = await redis.call('KEYS', `${prefixOf(queue.name).replaceAll(/[{}]/g, '?')}action:*`)
  expect(keys).toHaveLength(1_000)
}, 20_000)

test('an action that nobody knows, or that another program wrote, is none', async () => {
  await redis.call('HSET', `${prefixOf(queue.name)}action:odd`, 'verb', 'explode', 'state', 'running')
  for (const id of ['nobody', 'odd']) {
    expect(await queue.actions.get(id)).toBeUndefined()
    expect(await queue.actions.step(id, 'me')).toBeUndefined()
    expect(await queue.actions.abort(id)).toBeUndefined()
    await expect(queue.actions.run(id)).rejects.toThrow('no such action')
  }
})
