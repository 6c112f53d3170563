// Resources by their kinds' rows: found by what they name, and who is looked at when one changes.
import { Objects } from '../../control/src/objects.ts'
import type { ObjectOf } from '../../control/src/resources/object.ts'
import { declared } from './reconcile/declared.ts'

type Queue = ObjectOf['TaskQueue']
type Pool = ObjectOf['WorkerPool']

const queueOf = (name: string, ready?: 'True' | 'False', reason = 'Ready'): Queue => ({
  ...declared({ name, uid: name }),
  ...(ready && {
    status: {
      observedGeneration: 1,
      queueName: `shop.${name}`,
      conditions: [{ type: 'Ready', status: ready, reason, message: '', observedGeneration: 1 }],
    } as unknown as NonNullable<Queue['status']>,
  }),
})
const poolOf = (name: string, ...queues: string[]): Pool =>
  ({
    metadata: { namespace: 'shop', name, uid: name, generation: queues.length },
    spec: { queues: queues.map((queue) => ({ name: queue })) },
  }) as Pool

const scheduleOf = (queue: string, uid = 's'): ObjectOf['Schedule'] =>
  ({
    metadata: { namespace: 'shop', name: 'nightly', uid, generation: queue.length },
    spec: { queue },
  }) as ObjectOf['Schedule']

function watched() {
  const looked: string[] = []
  const objects = new Objects({
    look: (kind, key) => looked.push(`${kind} ${key}`),
    isServed: (key) => !key.startsWith('hidden/'),
  })
  const lookedAt = (change: () => void) => {
    looked.length = 0
    change()
    return looked
  }
  const namesOf = (found: Iterable<{ metadata: { name: string } }>) =>
    [...found].map(({ metadata }) => metadata.name)
  return { objects, lookedAt, namesOf }
}

test('a pool is found by each of its queues, until it names it no more', () => {
  const { objects, namesOf } = watched()
  const serving = (queue: string) => namesOf(objects.find('WorkerPool', 'queue', `shop/${queue}`))
  const [before, now] = [poolOf('mail', 'a', 'b'), poolOf('mail', 'b')]
  objects.change('WorkerPool', { key: 'shop/mail', now: before })
  expect([serving('a'), serving('b')]).toEqual([['mail'], ['mail']])
  objects.change('WorkerPool', { key: 'shop/mail', before, now })
  expect([serving('a'), serving('b')]).toEqual([[], ['mail']])
  objects.change('WorkerPool', { key: 'shop/mail', before: now })
  expect([serving('b'), objects.get('WorkerPool', 'shop/mail')]).toEqual([[], undefined])
})

test('a queue is found by its place in Redis when the name there is its own', () => {
  const { objects, namesOf } = watched()
  objects.change('TaskQueue', { key: 'shop/mine', now: queueOf('mine', 'True') })
  objects.change('TaskQueue', { key: 'shop/taken', now: queueOf('taken', 'False', 'NameTaken') })
  const at = (name: string) => namesOf(objects.find('TaskQueue', 'place', `shop/millhand-redis/shop.${name}`))
  expect([at('mine'), at('taken')]).toEqual([['mine'], []])
  expect(namesOf(objects.find('TaskQueue', 'uid', 'taken'))).toEqual(['taken'])
})

test('a change of a spec is looked at, one of a status is not; the pools of a queue hear of its conditions', () => {
  const { objects, lookedAt } = watched()
  const pool = poolOf('mail', 'a')
  expect(lookedAt(() => objects.change('WorkerPool', { key: 'shop/mail', now: pool }))).toEqual([
    'WorkerPool shop/mail',
  ])
  const [young, ready] = [queueOf('a'), queueOf('a', 'True')]
  expect(lookedAt(() => objects.change('TaskQueue', { key: 'shop/a', now: young }))).toEqual([
    'TaskQueue shop/a',
    'WorkerPool shop/mail',
  ])
  expect(lookedAt(() => objects.change('TaskQueue', { key: 'shop/a', before: young, now: ready }))).toEqual([
    'WorkerPool shop/mail',
  ])
  const same = { ...ready }
  expect(lookedAt(() => objects.change('TaskQueue', { key: 'shop/a', before: ready, now: same }))).toEqual([])
  const written = { ...pool, status: {} as NonNullable<Pool['status']> }
  const change = { key: 'shop/mail', before: pool, now: written }
  expect(lookedAt(() => objects.change('WorkerPool', change))).toEqual([])
})

test('a schedule hears of its queue, and the queue that has it no more hears of that', () => {
  const { objects, lookedAt, namesOf } = watched()
  const key = 'shop/nightly'
  const [first, moved, anew] = [scheduleOf('a'), scheduleOf('bb'), scheduleOf('bb', 'another')]
  expect(lookedAt(() => objects.change('Schedule', { key, now: first }))).toEqual(['Schedule shop/nightly'])
  const young = queueOf('a')
  objects.change('TaskQueue', { key: 'shop/a', now: young })
  const ready = () => objects.change('TaskQueue', { key: 'shop/a', before: young, now: queueOf('a', 'True') })
  expect(lookedAt(ready)).toEqual(['Schedule shop/nightly'])
  expect(lookedAt(() => objects.change('Schedule', { key, before: first, now: moved }))).toEqual([
    'Schedule shop/nightly',
    'TaskQueue shop/a',
  ])
  expect(namesOf(objects.find('Schedule', 'queue', 'shop/a'))).toEqual([])
  expect(namesOf(objects.find('Schedule', 'queue', 'shop/bb'))).toEqual(['nightly'])
  for (const change of [{ before: moved, now: anew }, { before: anew }])
    expect(lookedAt(() => objects.change('Schedule', { key, ...change }))).toEqual([
      'Schedule shop/nightly',
      'TaskQueue shop/bb',
    ])
})

test('what is not served is not found by its key', () => {
  const { objects } = watched()
  objects.change('WorkerPool', { key: 'hidden/mail', now: poolOf('mail', 'a') })
  expect(objects.get('WorkerPool', 'hidden/mail')).toBeUndefined()
})
