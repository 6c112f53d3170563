// Schedules in Redis: what fires, when, once; who owns one; pause, resume, run now; pages. Redis' clock is a key here.
import { connect } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
  type ScheduleSpec,
} from 'millhand/queue'
import { census } from '../../census.ts'
import { redisUrl } from '../../redis.ts'
import { scripts, setClock } from './clocked-queues.ts'

const BEGIN_MS = Date.parse('2026-01-01T00:00:00Z')
const MINUTE = 60_000
const EACH_MINUTE: ScheduleSpec = { cron: '* * * * *', task: 'send' }
const NOTHING = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

let redis: Connection
let queue: Queue
let queues = 0
beforeAll(async () => {
  redis = connectRedis(redisUrl())
  await redis.ready()
})
afterAll(() => redis.close())
beforeEach(async () => {
  queues += 1
  queue = openQueue(redis, `schedules.${process.pid}-${queues}`, scripts)
  await at(0)
  await queue.register({ ...NOTHING, worker: 'p:1', process: 'p', podUid: 'u', slots: 100 })
})
afterEach(async () => {
  expect((await census(redis, queue.name)).problems).toEqual([])
})

const at = (ms: number) => setClock(redis, queue, BEGIN_MS + ms)
const idAt = (name: string, ms: number) => `${name}@${BEGIN_MS + ms}`
const firedIds = async () => (await queue.schedules.fireDue()).runs.map(({ id }) => id)
const claim = async () => (await queue.settleAndClaim({ worker: 'p:1', wanted: 100 })).claims
const complete = (claims: readonly { id: string; token: string }[]) =>
  queue.settleAndClaim({
    worker: 'p:1',
    settlements: claims.map(({ id, token }) => ({
      id,
      token,
      verdict: 'completed' as const,
      text: '1 send 1\nnull',
    })),
  })

describe('a schedule', () => {
  test('makes one job at its due time, whose id names both, and is due again', async () => {
    await queue.schedules.set('each-minute', { ...EACH_MINUTE, input: { to: 'all' } })
    expect((await queue.schedules.get('each-minute'))?.nextAtMs).toBe(BEGIN_MS + MINUTE)
    await at(MINUTE - 1)
    expect(await queue.schedules.fireDue()).toEqual({ runs: [], unreadable: [], nextMs: 1 })
    await at(MINUTE + 5)
    expect(await queue.schedules.fireDue()).toEqual({
      runs: [{ name: 'each-minute', dueAtMs: BEGIN_MS + MINUTE, lateMs: 5, id: idAt('each-minute', MINUTE) }],
      unreadable: [],
      nextMs: MINUTE - 5,
    })
    expect(await firedIds()).toEqual([])
    const [job] = await claim()
    expect(job?.id).toBe(idAt('each-minute', MINUTE))
    expect(job?.envelope).toBe(`24 normal ${BEGIN_MS + MINUTE + 5} send\n{"to":"all"}`)
    await complete(job ? [job] : [])
    expect(await queue.schedules.get('each-minute')).toEqual({
      name: 'each-minute',
      spec: { cron: '* * * * *', task: 'send', overlap: 'Allow', input: { to: 'all' } },
      ownerUid: '',
      owner: '',
      isPaused: false,
      nextAtMs: BEGIN_MS + 2 * MINUTE,
      last: {
        id: idAt('each-minute', MINUTE),
        dueAtMs: BEGIN_MS + MINUTE,
        firedAtMs: BEGIN_MS + MINUTE + 5,
        lateMs: 5,
        state: 'completed',
      },
      fired: 1,
      skipped: 0,
    })
  })

  test('has the options of its jobs, and an undefined input stays undefined', async () => {
    const options = { key: 'acme', tags: ['nightly'], priority: 'high', timeoutMs: 5_000 } as const
    await queue.schedules.set('s', { ...EACH_MINUTE, options })
    await at(MINUTE)
    await queue.schedules.fireDue()
    const [job] = await claim()
    expect(job?.envelope).toBe(`26 high/acme ${BEGIN_MS + MINUTE} send i=0 t=5000 g=nightly\nnull`)
    expect((await queue.schedules.get('s'))?.spec).toEqual({ ...EACH_MINUTE, options, overlap: 'Allow' })
    await complete(job ? [job] : [])
  })

  test.each(['completed', 'cancelled', 'deleted'])(
    'knows that its last job was %s when the outcome is forgotten',
    async (how) => {
      await queue.configure({ ...defaultSettings, completedMaxCount: 0 })
      await queue.schedules.set('s', EACH_MINUTE)
      await at(MINUTE)
      const [id = ''] = await firedIds()
      if (how === 'completed') await complete(await claim())
      else if (how === 'cancelled') await queue.cancel(id)
      else while ((await queue.purge(['ready'])).isMore);
      expect(await queue.job(id)).toBeUndefined()
      const state = how === 'deleted' ? 'unknown' : how
      expect((await queue.schedules.get('s'))?.last).toMatchObject({ id, state })
      await at(2 * MINUTE)
      await queue.schedules.fireDue()
      expect((await queue.schedules.get('s'))?.last?.state).toBe('ready')
    },
  )

  test('fires at its due time and the jitter, and its id has the due time', async () => {
    await queue.schedules.set('s', { ...EACH_MINUTE, jitterMs: 30_000 })
    const score = Number(await redis.call('ZSCORE', `${prefixOf(queue.name)}schedules`, 's')) - BEGIN_MS
    expect(score).toBeGreaterThanOrEqual(MINUTE)
    expect(score).toBeLessThanOrEqual(MINUTE + 30_000)
    await at(score - 1)
    expect(await firedIds()).toEqual([])
    await at(score)
    expect((await queue.schedules.fireDue()).runs).toEqual([
      { name: 's', dueAtMs: BEGIN_MS + MINUTE, lateMs: 0, id: idAt('s', MINUTE) },
    ])
  })

  test('makes one job, however many fire it at once', async () => {
    await queue.schedules.set('s', EACH_MINUTE)
    await at(MINUTE)
    const fired = await Promise.all(Array.from({ length: 20 }, () => queue.schedules.fireDue()))
    expect(fired.flatMap(({ runs }) => runs.map(({ id }) => id))).toEqual([idAt('s', MINUTE)])
    expect((await queue.depth()).ready).toBe(1)
  })

  test.each([
    [undefined, [70]],
    [{ maxRuns: 3 }, [68, 69, 70]],
    [{ maxRuns: 100, withinMs: 5 * MINUTE }, [65, 66, 67, 68, 69, 70]],
  ])(
    'that nobody fired for 70 minutes makes up for what missed %j allows, and says how late',
    async (missed, minutes) => {
      await queue.schedules.set('s', { ...EACH_MINUTE, missed })
      await at(70 * MINUTE)
      const { runs } = await queue.schedules.fireDue()
      expect(runs).toEqual(
        minutes.map((n) => ({
          name: 's',
          dueAtMs: BEGIN_MS + n * MINUTE,
          lateMs: (70 - n) * MINUTE,
          id: idAt('s', n * MINUTE),
        })),
      )
      expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + 71 * MINUTE)
    },
  )

  test('that is too late for missed.withinMs is left out, and goes on', async () => {
    await queue.schedules.set('s', { everyMs: 10 * MINUTE, task: 'send', missed: { withinMs: MINUTE } })
    await at(15 * MINUTE)
    expect(await firedIds()).toEqual([])
    expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + 20 * MINUTE)
  })

  test('waits in a queue that is full, and is late when there is room', async () => {
    await queue.configure({ ...defaultSettings, maxLength: 1 })
    await queue.enqueue([newJob('send', null)])
    await queue.schedules.set('s', EACH_MINUTE)
    await at(MINUTE)
    expect(await firedIds()).toEqual([])
    await expect(queue.schedules.run('s')).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    await at(MINUTE + 500)
    await complete(await claim())
    expect((await queue.schedules.fireDue()).runs).toMatchObject([{ id: idAt('s', MINUTE), lateMs: 500 }])
  })

  test('refuses an input over the limit of payloads', async () => {
    const input = 'x'.repeat(300_000)
    await expect(queue.schedules.set('s', { ...EACH_MINUTE, input })).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    })
    expect(await queue.schedules.get('s')).toBeUndefined()
  })
})

describe('while the job of the run before', () => {
  const runTwice = async (overlap: ScheduleSpec['overlap'], between: () => Promise<unknown>) => {
    await queue.schedules.set('s', { ...EACH_MINUTE, overlap, missed: { maxRuns: 5 } })
    await at(MINUTE)
    expect(await firedIds()).toEqual([idAt('s', MINUTE)])
    await between()
    await at(2 * MINUTE)
    return (await queue.schedules.fireDue()).runs
  }

  test.each(['waits', 'runs'])('%s, Forbid leaves the run out, and counts it', async (what) => {
    const runs = await runTwice('Forbid', async () => what === 'runs' && claim())
    expect(runs).toEqual([{ name: 's', dueAtMs: BEGIN_MS + 2 * MINUTE, lateMs: 0 }])
    expect(await queue.schedules.get('s')).toMatchObject({ fired: 1, skipped: 1 })
    await complete(await claim())
  })

  test('has ended or is buried, Forbid lets the run start', async () => {
    expect(await runTwice('Forbid', async () => complete(await claim()))).toMatchObject([
      { id: idAt('s', 2 * MINUTE) },
    ])
    const [job] = await claim()
    const { id = '', token = '' } = job ?? {}
    await queue.settleAndClaim({
      worker: 'p:1',
      settlements: [{ id, token, verdict: 'terminal', text: '{"outcome":"failed"}' }],
    })
    expect((await queue.depth()).buried).toBe(1)
    await at(3 * MINUTE)
    expect(await firedIds()).toEqual([idAt('s', 3 * MINUTE)])
    expect((await queue.schedules.get('s'))?.last?.state).toBe('ready')
  })

  test('waits, Replace cancels it', async () => {
    expect(await runTwice('Replace', async () => {})).toMatchObject([{ id: idAt('s', 2 * MINUTE) }])
    expect((await queue.job(idAt('s', MINUTE)))?.state).toBe('cancelled')
    expect((await claim()).map(({ id }) => id)).toEqual([idAt('s', 2 * MINUTE)])
  })

  test('runs, Replace has its worker end it', async () => {
    expect(await runTwice('Replace', claim)).toMatchObject([{ id: idAt('s', 2 * MINUTE) }])
    expect(await queue.job(idAt('s', MINUTE))).toMatchObject({ state: 'held', cancelling: true })
  })

  test('has the unique key of the next one, that is left out', async () => {
    await queue.schedules.set('s', { ...EACH_MINUTE, options: { unique: { key: 'only-one' } } })
    await at(MINUTE)
    expect(await firedIds()).toEqual([idAt('s', MINUTE)])
    await at(2 * MINUTE)
    expect(await firedIds()).toEqual([undefined])
    expect(await queue.schedules.get('s')).toMatchObject({ fired: 1, skipped: 1 })
    await complete(await claim())
    await at(3 * MINUTE)
    expect(await firedIds()).toEqual([idAt('s', 3 * MINUTE)])
  })

  test('waits or runs, Allow makes the next one, and all that it makes up for', async () => {
    const runs = await runTwice('Allow', async () => at(4 * MINUTE))
    expect(runs).toHaveLength(1)
    await at(5 * MINUTE)
    expect(await firedIds()).toHaveLength(3)
    expect((await queue.depth()).ready).toBe(5)
  })
})

describe('to set a schedule', () => {
  test('again as it is changes nothing, and keeps a due time that nobody has fired yet', async () => {
    expect(await queue.schedules.set('s', EACH_MINUTE)).toBe('set')
    await at(MINUTE + 1)
    expect(await queue.schedules.set('s', { ...EACH_MINUTE })).toBe('unchanged')
    expect(await queue.schedules.set('s', { ...EACH_MINUTE, input: 2 })).toBe('set')
    expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + MINUTE)
    expect(await firedIds()).toEqual([idAt('s', MINUTE)])
    expect((await claim()).map(({ envelope }) => envelope.split('\n')[1])).toEqual(['2'])
  })

  test('while it fires does not bring its last due time back', async () => {
    for (let n = 1; n <= 50; n += 1) {
      await queue.schedules.set('s', { ...EACH_MINUTE, input: n })
      await at(n * MINUTE)
      const [fired] = await Promise.all([
        queue.schedules.fireDue(),
        queue.schedules.set('s', { ...EACH_MINUTE, input: -n }),
        queue.schedules.fireDue(),
      ])
      const late = await queue.schedules.fireDue()
      expect([...fired.runs, ...late.runs].length).toBeLessThanOrEqual(1)
      expect(await queue.schedules.get('s')).toMatchObject({
        fired: n,
        nextAtMs: BEGIN_MS + (n + 1) * MINUTE,
      })
    }
  })

  test('with other times is due by these, from now on', async () => {
    await queue.schedules.set('s', EACH_MINUTE)
    await at(10 * MINUTE)
    await queue.schedules.set('s', { everyMs: 3 * MINUTE, task: 'send' })
    expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + 12 * MINUTE)
  })

  test('of another owner is refused, unless it is taken over; and only its owner deletes it', async () => {
    const owner = { ownerUid: 'uid-1', owner: 'default/s' }
    expect(await queue.schedules.set('s', EACH_MINUTE)).toBe('set')
    expect(await queue.schedules.set('s', EACH_MINUTE, owner)).toBe('name-taken')
    expect(await queue.schedules.set('s', EACH_MINUTE, { ...owner, takeOver: true })).toBe('set')
    expect(await queue.schedules.set('s', { ...EACH_MINUTE, input: 1 })).toBe('name-taken')
    expect(await queue.schedules.delete('s')).toBe('name-taken')
    expect(await queue.schedules.get('s')).toMatchObject(owner)
    expect(await queue.schedules.delete('s', 'uid-1')).toBe('deleted')
    expect(await queue.schedules.delete('s', 'uid-1')).toBe('none')
  })

  test('from several programs at once leaves one of them, whole', async () => {
    const sets = Array.from({ length: 5 }, (_, n) =>
      queue.schedules.set('s', { everyMs: (n + 1) * MINUTE, task: `t${n}`, input: n }),
    )
    expect(new Set(await Promise.all(sets))).toEqual(new Set(['set']))
    const { spec } = (await queue.schedules.get('s')) ?? {}
    expect(spec).toMatchObject({ everyMs: (Number(spec?.input) + 1) * MINUTE, task: `t${spec?.input}` })
  })
})

describe('people', () => {
  test('pause and resume it: it goes on with the next due time', async () => {
    await queue.schedules.set('s', EACH_MINUTE)
    expect(await queue.schedules.pause('s')).toBe(true)
    expect(await queue.schedules.pause('nobody')).toBe(false)
    await at(10 * MINUTE)
    expect(await firedIds()).toEqual([])
    expect(await queue.schedules.get('s')).toMatchObject({ isPaused: true, fired: 0 })
    expect(await queue.schedules.set('s', { ...EACH_MINUTE, input: 1 })).toBe('set')
    expect((await queue.schedules.get('s'))?.nextAtMs).toBeUndefined()
    expect(await queue.schedules.resume('s')).toBe(true)
    expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + 11 * MINUTE)
  })

  test('do not wake one that its spec suspends, and it does not fire', async () => {
    await queue.schedules.set('s', { ...EACH_MINUTE, suspend: true })
    expect(await queue.schedules.resume('s')).toBe(true)
    await at(10 * MINUTE)
    expect(await firedIds()).toEqual([])
    expect((await queue.depth()).nextScheduleMs).toBeUndefined()
    await queue.schedules.set('s', EACH_MINUTE)
    expect((await queue.depth()).nextScheduleMs).toBe(MINUTE)
  })

  test('run it now, besides its plan, also while the last job runs', async () => {
    await queue.schedules.set('s', { ...EACH_MINUTE, overlap: 'Forbid' })
    await at(10)
    expect(await queue.schedules.run('s')).toBe(idAt('s', 10))
    await at(20)
    expect(await queue.schedules.run('s')).toBe(idAt('s', 20))
    expect(await queue.schedules.run('nobody')).toBeUndefined()
    expect((await queue.depth()).ready).toBe(2)
    expect((await queue.schedules.get('s'))?.nextAtMs).toBe(BEGIN_MS + MINUTE)
  })

  test('find all of them in pages, next due first', async () => {
    const names = Array.from({ length: 45 }, (_, n) => `s${String(n).padStart(2, '0')}`)
    for (const [n, name] of names.entries())
      await queue.schedules.set(name, { everyMs: (1 + (n % 3)) * MINUTE, task: 'send', suspend: n > 40 })
    const found: string[] = []
    let cursor: string | undefined
    do {
      const page = await queue.schedules.list({ limit: 7, ...(cursor && { cursor }) })
      expect(page.total).toBe(45)
      found.push(...page.schedules.map(({ name }) => name))
      cursor = page.cursor
    } while (cursor)
    const order = (n: number) => (n > 40 ? 9 : n % 3)
    expect(found).toEqual(
      [...names].sort((a, b) => order(+a.slice(1)) - order(+b.slice(1)) || (a < b ? -1 : 1)),
    )
  })

  test('lose none that was on no page while others fire', async () => {
    for (let n = 0; n < 30; n += 1) await queue.schedules.set(`s${n}`, EACH_MINUTE)
    const { schedules, cursor = '' } = await queue.schedules.list({ limit: 10 })
    await at(MINUTE)
    await queue.schedules.fireDue()
    const rest = await queue.schedules.list({ cursor })
    const names = [...schedules, ...rest.schedules].map(({ name }) => name)
    expect(new Set(names).size).toBe(30)
  })
})

describe('who renews or looks at numbers', () => {
  const renewed = async () => {
    const answer = await queue.renew('p:1')
    return answer.kind === 'alive' ? answer.counters.nextScheduleMs : 'dead'
  }

  test('hears when the next one fires, and nothing in a queue without schedules', async () => {
    expect([await renewed(), (await queue.depth()).nextScheduleMs]).toEqual([undefined, undefined])
    await queue.schedules.set('later', { everyMs: 10 * MINUTE, task: 'send' })
    await queue.schedules.set('s', EACH_MINUTE)
    await at(MINUTE - 1_500)
    expect([await renewed(), (await queue.depth()).nextScheduleMs]).toEqual([1_500, 1_500])
    await at(MINUTE + 1)
    expect([await renewed(), (await queue.depth()).nextScheduleMs]).toEqual([0, 0])
    await queue.schedules.delete('s')
    await queue.schedules.delete('later')
    expect([await renewed(), (await queue.depth()).nextScheduleMs]).toEqual([undefined, undefined])
  })
})

test('a schedule that this program cannot read waits a minute for another one, and holds up no other', async () => {
  await queue.schedules.set('a', EACH_MINUTE)
  await queue.schedules.set('b', EACH_MINUTE)
  await redis.call('HSET', `${prefixOf(queue.name)}schedule:a`, 'spec', '{"sunrise":"Berlin","task":"send"}')
  await at(MINUTE)
  expect(await queue.schedules.fireDue()).toMatchObject({ runs: [{ name: 'b' }], unreadable: ['a'] })
  expect((await queue.schedules.get('a'))?.nextAtMs).toBe(BEGIN_MS + MINUTE)
  expect(await firedIds()).toEqual([])
  await at(2 * MINUTE)
  expect((await queue.schedules.fireDue()).unreadable).toEqual(['a'])
})

test('a name without a schedule, whose hash somebody deleted, is dropped', async () => {
  await queue.schedules.set('a', EACH_MINUTE)
  await redis.call('DEL', `${prefixOf(queue.name)}schedule:a`)
  await at(MINUTE)
  expect(await firedIds()).toEqual([])
  expect((await queue.schedules.list()).total).toBe(0)
})

test('a program is told who has the name', async () => {
  const client = connect({ redis: redisUrl(), namespace: 'schedules' })
  try {
    const real = openQueue(redis, `schedules.${process.pid}-real-${queues}`)
    await real.schedules.set('s', EACH_MINUTE, { ownerUid: 'uid-1', owner: 'default/nightly' })
    const { schedules } = client.queue(real.name.slice(10))
    // One after the other: the second may be refused first, and nobody would have looked at it yet.
    for (const verb of [() => schedules.set('s', EACH_MINUTE), () => schedules.delete('s')])
      await expect(verb()).rejects.toMatchObject({
        code: 'SCHEDULE_TAKEN',
        message: `schedule s of queue ${real.name} belongs to the resource default/nightly: change it there, or use another name`,
      })
  } finally {
    client.close()
  }
})
