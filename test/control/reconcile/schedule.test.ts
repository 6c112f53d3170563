// Reconciles of Schedules and their TaskQueue against a real Redis: what the queue has afterwards, and who fires it
// where no worker does. Statuses are kept here, as an API server would.
import {
  type Connection,
  connectRedis,
  defaultSettings,
  openQueue,
  type Queue,
  type ScheduleSpec,
  silent,
  stirredChannel,
} from 'millhand/queue'
import type { Fence } from '../../../control/src/engine/fence.ts'
import { kinds } from '../../../control/src/kinds.ts'
import { Objects } from '../../../control/src/objects.ts'
import type { ObjectOf } from '../../../control/src/resources/object.ts'
import type { ScheduleObject } from '../../../control/src/resources/schedule.ts'
import type { Kind } from '../../../control/src/resources/schemas.ts'
import type { World } from '../../../control/src/world.ts'
import { eventually } from '../../eventually.ts'
import { RedisServer } from '../../redis-server.ts'
import { openServers } from '../redis/open-servers.ts'
import { scheduleManifest } from '../resources/crds.ts'
import { declared, ownerName } from './declared.ts'

let redis: RedisServer
let connection: Connection
beforeAll(async () => {
  redis = await RedisServer.start()
  connection = connectRedis(redis.url)
})
afterAll(async () => {
  connection.close()
  await redis.remove()
})

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

let queues = 0
/** A name that no other test has. */
const newQueue = () => {
  queues += 1
  return `mail-${queues}`
}
const inRedis = (name: string): Queue => openQueue(connection, `shop.${name}`)

const scheduled = (queue: string, spec: object = {}, uid = 'u1'): ScheduleObject => ({
  ...scheduleManifest({ queue, ...('everySeconds' in spec ? {} : { cron: '0 8 * * *' }), ...spec }),
  metadata: { namespace: 'shop', name: 'nightly', uid, generation: 1 },
})

/** One that knows nothing of an earlier one. */
function operator(
  objects: Objects = new Objects({ look: () => {} }),
  fence?: Fence,
  /** What there is, where what was watched is behind. */
  kept = objects,
) {
  const { servers, stirs } = openServers({ 'millhand-redis': redis.url }, fence ? { fence } : {})
  ends.push(() => servers.close())
  const told: string[] = []
  const world: World = {
    get: (kind, key) => objects.get(kind, key),
    find: (kind, index, name) => objects.find(kind, index, name),
    isGone: async ({ kind, namespace, name, uid }) =>
      kept.get(kind, `${namespace}/${name}`)?.metadata.uid !== uid,
    fleet: () => {
      throw new Error('there is no pool')
    },
    forgetFleet: () => {},
    writeStatus: async ({ kind, namespace, name }, status) => {
      const key = `${namespace}/${name}`
      const before = objects.get(kind, key)
      if (before) objects.change(kind, { key, before, now: { ...before, status } as ObjectOf[Kind] })
      return true
    },
    tell: ({ name }, { reason }) => void told.push(`${name} ${reason}`),
  }
  const context = {
    ...{ world, servers, ownerName, log: silent },
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    onPlanned: () => {},
    onDecision: () => {},
    onGone: () => {},
  }
  const reconcile = {
    TaskQueue: kinds.TaskQueue.reconciler(context),
    Schedule: kinds.Schedule.reconciler(context),
  }
  const declare = async <K extends 'TaskQueue' | 'Schedule'>(kind: K, now: ObjectOf[K]) => {
    const key = `shop/${now.metadata.name}`
    const before = objects.get(kind, key)
    objects.change(kind, { key, now, ...(before && { before }) })
    await reconcile[kind](key)
  }
  return {
    ...{ objects, servers, told, stirs },
    again: (kind: 'TaskQueue' | 'Schedule', name: string) => reconcile[kind](`shop/${name}`),
    queue: (name: string, uid = `uid-${name}`) => declare('TaskQueue', declared({ name, uid })),
    schedule: (object: ScheduleObject) => declare('Schedule', object),
    /** As a watch tells it, with nobody who reconciles. */
    remove: (name: string, kind: 'TaskQueue' | 'Schedule' = 'Schedule') => {
      const key = `shop/${name}`
      const before = objects.get(kind, key)
      if (before) objects.change<Kind>(kind, { key, before })
    },
    readyOf: (name: string) => {
      const found = objects.get('Schedule', `shop/${name}`)?.status?.conditions ?? []
      const { status, reason, message } = found.find(({ type }) => type === 'Ready') ?? {}
      return { says: `${status} ${reason}`, message }
    },
  }
}

const PROGRAMS: ScheduleSpec = { cron: '0 9 * * *', task: 'other' }

test('what a Schedule declares is set in its queue, and its status says when it is due', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name, { timeZone: 'Asia/Kathmandu', input: { a: [1] }, job: { key: 'k' } }))
  const state = await inRedis(name).schedules.get('nightly')
  expect(state).toMatchObject({
    ownerUid: 'u1',
    owner: 'Schedule shop/nightly',
    spec: {
      cron: '0 8 * * *',
      timeZone: 'Asia/Kathmandu',
      task: 'digest',
      input: { a: [1] },
      options: { key: 'k' },
    },
  })
  expect(op.readyOf('nightly')).toEqual({
    says: 'True Ready',
    message: `the queue shop.${name} has the schedule nightly`,
  })
  const { status } = op.objects.get('Schedule', 'shop/nightly') ?? {}
  // 08:00 in a zone that is 5:45 ahead.
  expect(status?.nextDueAt).toMatch(/T02:15:00Z$/)
  expect(Date.parse(status?.nextDueAt ?? '')).toBe(state?.nextAtMs)
  expect(op.told).toContain('nightly Ready')
})

test('another spec changes it, and the same again changes nothing', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  const before = await inRedis(name).schedules.get('nightly')
  await op.again('Schedule', 'nightly')
  expect(await inRedis(name).schedules.get('nightly')).toEqual(before)
  await op.schedule(scheduled(name, { task: 'letter', suspend: true }))
  const after = await inRedis(name).schedules.get('nightly')
  expect(after?.spec).toMatchObject({ task: 'letter', suspend: true })
  expect(after?.nextAtMs).toBeUndefined()
})

test.each([
  [
    'a time zone that there is not',
    { timeZone: 'Europe/Berlim' },
    /unknown timeZone "Europe\/Berlim": did you mean Europe\/Berlin\?/,
  ],
  ['a day that there is not', { cron: '0 0 30 2 *' }, /invalid cron "0 0 30 2 \*": there is no such day/],
  ['an input over the limit of the queue', { input: 'x'.repeat(1_001) }, /has 1003 bytes.*at most 1000/],
])('%s is said, and nothing is set', async (_what, spec, message) => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name, spec))
  expect(op.readyOf('nightly')).toEqual({
    says: 'False InvalidSchedule',
    message: expect.stringMatching(message),
  })
  expect(await inRedis(name).schedules.get('nightly')).toBeUndefined()
})

test('a queue that there is not, or that is another owner’s, is said', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.schedule(scheduled(name))
  expect(op.readyOf('nightly')).toEqual({
    says: 'False QueueNotFound',
    message: `TaskQueue ${name} not found in the namespace shop: create it, or correct spec.queue`,
  })
  op.objects.change('TaskQueue', { key: `shop/${name}`, now: declared({ name, uid: 'mine' }) })
  await op.again('Schedule', 'nightly')
  expect(op.readyOf('nightly').says).toBe('False QueueNotReady')
  await inRedis(name).configure({ ...defaultSettings, ownerUid: 'theirs' })
  await op.again('TaskQueue', name)
  await op.again('Schedule', 'nightly')
  expect(op.readyOf('nightly').says).toBe('False QueueNotReady')
  expect(await inRedis(name).schedules.get('nightly')).toBeUndefined()
})

test('a schedule of a program that has the name stays as it is, until somebody deletes it', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  const { schedules } = inRedis(name)
  await schedules.set('nightly', PROGRAMS)
  await op.schedule(scheduled(name))
  expect(op.readyOf('nightly')).toEqual({
    says: 'False NameTaken',
    message: `the queue shop.${name} has a schedule nightly of a program: rename this one, or delete that one (millhand schedule delete)`,
  })
  expect(await schedules.get('nightly')).toMatchObject({ ownerUid: '', spec: PROGRAMS })
  await schedules.delete('nightly')
  await op.again('Schedule', 'nightly')
  expect(op.readyOf('nightly').says).toBe('True Ready')
  // And a program does not get it back.
  expect(await schedules.set('nightly', PROGRAMS)).toBe('name-taken')
})

test('one that was deleted and made again owns what is there', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  await op.schedule(scheduled(name, { task: 'letter' }, 'u2'))
  expect(await inRedis(name).schedules.get('nightly')).toMatchObject({
    ownerUid: 'u2',
    spec: { task: 'letter' },
  })
})

test('a schedule whose resource was deleted while no operator ran is deleted, one of a program is not', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  await inRedis(name).schedules.set('programs', PROGRAMS)
  op.remove('nightly')
  await operator(op.objects).again('TaskQueue', name)
  const { schedules } = await inRedis(name).schedules.list()
  expect(schedules.map((each) => each.name)).toEqual(['programs'])
})

test('a new leader whose watch is behind leaves a schedule alone that it has not seen', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  const before = await inRedis(name).schedules.get('nightly')
  const behind = operator(new Objects({ look: () => {} }), undefined, op.objects)
  await behind.queue(name)
  expect(await inRedis(name).schedules.get('nightly')).toEqual(before)
  op.remove('nightly')
  await behind.again('TaskQueue', name)
  expect(await inRedis(name).schedules.get('nightly')).toBeUndefined()
})

test('a TaskQueue that is deleted takes the schedules of its Schedules along, and none of a program', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  await inRedis(name).schedules.set('programs', PROGRAMS)
  op.remove(name, 'TaskQueue')
  await op.again('TaskQueue', name)
  const { schedules } = await inRedis(name).schedules.list()
  expect(schedules.map((each) => each.name)).toEqual(['programs'])
  await op.queue(name)
  await op.again('Schedule', 'nightly')
  expect(await inRedis(name).schedules.get('nightly')).toMatchObject({ ownerUid: 'u1' })
})

test('a TaskQueue that never had its queue leaves the schedules there alone when it is deleted', async () => {
  const [name, op] = [newQueue(), operator()]
  await op.queue(name)
  await op.schedule(scheduled(name))
  const other = operator()
  await other.queue(name, 'another')
  other.remove(name, 'TaskQueue')
  await other.again('TaskQueue', name)
  expect(await inRedis(name).schedules.get('nightly')).toMatchObject({ ownerUid: 'u1' })
})

test('a schedule that moves to another queue leaves the first one', async () => {
  const [from, to, op] = [newQueue(), newQueue(), operator()]
  await op.queue(from)
  await op.queue(to)
  await op.schedule(scheduled(from))
  await op.schedule(scheduled(to))
  await op.again('TaskQueue', from)
  expect(await inRedis(from).schedules.get('nightly')).toBeUndefined()
  expect(await inRedis(to).schedules.get('nightly')).toMatchObject({ ownerUid: 'u1' })
})

test('a queue without workers gets its jobs when they are due, each once, and its pools hear of it', async () => {
  const name = newQueue()
  const isLeading = { isOpen: true }
  const objects = new Objects({ look: () => {} })
  const ops = [operator(objects, isLeading), operator(objects, isLeading)]
  for (const op of ops) await op.queue(name)
  await ops[0]?.schedule(scheduled(name, { everySeconds: 1 }))
  const queue = inRedis(name)
  const looked = async () => {
    for (const op of ops) await op.again('TaskQueue', name)
    return (await queue.depth()).ready >= 3
  }
  await eventually(looked, { what: 'three jobs', withinMs: 25_000 })
  isLeading.isOpen = false
  const { fired, last } = (await queue.schedules.get('nightly')) ?? {}
  expect((await queue.depth()).counts.enqueued).toBe(fired)
  expect(last?.id).toBe(`nightly@${last?.dueAtMs}`)
  expect(ops.flatMap(({ stirs }) => stirs)).toContainEqual(
    expect.objectContaining({ queueName: `shop.${name}` }),
  )
})

test('an operator hears of a schedule that is set or goes on, where it is the next one', async () => {
  const name = newQueue()
  const { schedules } = inRedis(name)
  const listening = connectRedis(redis.url)
  ends.push(() => listening.close())
  let heard = 0
  await listening.subscribe(stirredChannel(`shop.${name}`, 0), () => {
    heard += 1
  })
  const isHeard = (times: number) => eventually(() => heard === times, { what: `${times} times` })
  await schedules.set('first', { everyMs: 3_600_000, task: 'digest' })
  await isHeard(1)
  await schedules.set('later', { everyMs: 366 * 24 * 3_600_000, task: 'digest' })
  await schedules.pause('first')
  await schedules.resume('first')
  await isHeard(2)
})

test('an instance that does not lead fires nothing, however often it looks', async () => {
  const name = newQueue()
  await inRedis(name).schedules.set('often', { everyMs: 1_000, task: 'digest' })
  const place = { namespace: 'shop', secretName: 'millhand-redis' }
  const opened = await operator(undefined, { isOpen: false }).servers.open(`shop.${name}`, place)
  if (opened.kind === 'problem') throw new Error(opened.message)
  const { seen } = opened
  await eventually(async () => (await seen.look()).depth.nextScheduleMs === 0, { what: 'it is due' })
  await seen.look()
  expect(await inRedis(name).schedules.get('often')).toMatchObject({ fired: 0 })
})
