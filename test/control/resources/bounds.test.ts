// A status fits into its CRD, whatever workers, the API server or people wrote into it: the same schema that the API server checks by.
import fc from 'fast-check'
import { boundedStatus, cutText } from '../../../control/src/resources/bounds.ts'
import { checkAgainstSchema, type Schema } from '../../../control/src/resources/schema.ts'
import { KINDS } from '../../../control/src/resources/schemas.ts'
import { NOW, observed, planWorkerPool, queueOf, workerOf } from '../../operator/worker-pool/observed.ts'
import { crds } from './crds.ts'

const statusOf = (kind: keyof typeof crds): Schema => crds[kind].properties?.status ?? {}
const problemsOf = (kind: keyof typeof crds, status: object) =>
  checkAgainstSchema(JSON.parse(JSON.stringify(status)), statusOf(kind)).problems.map(
    ({ message }) => message,
  )

/** Of Latin, Chinese and emoji, and halves of emoji. */
const anyText = fc
  .tuple(
    fc.array(fc.constantFrom('a', ' ', '"', '\n', 'ж', '中', '😀', '👩‍🚀', '\ud83d', '\ude00'), {
      maxLength: 40,
    }),
    fc.integer({ min: 1, max: 120 }),
  )
  .map(([letters, times]) => letters.join('').repeat(times))

/** What fits the schema in all but lengths and sizes: that is left to chance. */
function anyOf({
  type,
  enum: words,
  format,
  pattern,
  properties,
  items,
  required = [],
}: Schema): fc.Arbitrary<unknown> {
  if (words) return fc.constantFrom(...words)
  if (format === 'date-time') return fc.constant('2026-01-01T12:00:00Z')
  // Words of our own, whose pattern is the code's to keep.
  if (pattern) return fc.integer({ min: 1, max: 2_000 }).map((count) => 'A'.repeat(count))
  if (type === 'string') return anyText
  if (type === 'integer') return fc.oneof(fc.double(), fc.integer(), fc.constantFrom(2 ** 40, -1))
  if (type === 'array' && items) return fc.uniqueArray(anyOf(items), { maxLength: 20, selector: typeOf })
  const fields = Object.entries(properties ?? {}).map(([name, field]) => [name, anyOf(field)])
  return fc.record(Object.fromEntries(fields), { requiredKeys: required as never[] })
}
/** By which items of a list differ: words as they are, conditions by their type as it is cut. */
const typeOf = (item: unknown) =>
  typeof item === 'string' ? item : (item as { type: string }).type.slice(0, 316)

test.each(KINDS)('any status of a %s fits when it is bounded', (kind) => {
  fc.assert(
    fc.property(anyOf(statusOf(kind)), (status) => {
      expect(problemsOf(kind, boundedStatus(kind, status as object))).toEqual([])
    }),
    { numRuns: 200 },
  )
})

test.each(KINDS)('every text in a status of a %s has a bound', (kind) => {
  const unbounded = (schema: Schema, path: string): string[] => {
    if (schema.items) return unbounded(schema.items, `${path}[]`)
    if (schema.properties)
      return Object.entries(schema.properties).flatMap(([name, field]) => unbounded(field, `${path}.${name}`))
    const { type, maxLength, enum: words, format } = schema
    return type === 'string' && !maxLength && !words && format !== 'date-time' ? [path] : []
  }
  expect(unbounded(statusOf(kind), 'status')).toEqual([])
})

test.each([
  ['abc', 3, 'abc'],
  ['abcd', 3, 'ab…'],
  ['😀😀😀', 3, '😀😀😀'],
  ['😀😀😀😀', 3, '😀😀…'],
  ['a😀😀😀', 3, 'a😀…'],
  ['', 3, ''],
])('%j of at most %d code points is %j', (text, most, cut) => {
  expect(cutText(text, most)).toBe(cut)
})

describe('the status of a pool', () => {
  const planned = (changes: Parameters<typeof observed>[0]) => {
    const { status } = planWorkerPool(observed(changes), { nowMs: NOW, wallMs: NOW })
    expect(problemsOf('WorkerPool', status ?? {})).toEqual([])
    return status
  }
  const musl = 'Fork needs glibc, and this Node was built for another C library (musl, as on Alpine)'
  const fallen = (name: string, fallback: string) => workerOf(name, 0, { isolation: 'Spawn', fallback })
  const condition = (workers: ReturnType<typeof workerOf>[]) =>
    planned({ workers })?.conditions.find(({ type }) => type === 'IsolationFallback')

  test('says why a worker image of Alpine does not fork', () => {
    expect(planned({ workers: [fallen('a', musl), workerOf('b', 0)] })?.isolationInUse).toEqual([
      'Fork',
      'Spawn',
    ])
    expect(condition([fallen('a', musl)])).toMatchObject({ status: 'True', reason: 'ForkUnavailable' })
    expect(condition([fallen('a', musl)])?.message).toContain(musl)
  })

  test('cuts notes of workers that never end, of many workers', () => {
    const workers = Array.from({ length: 50 }, (_, n) => fallen(`w${n}`, `${n}😀`.repeat(500)))
    expect([...(condition(workers)?.message ?? '')]).toHaveLength(1024)
  })

  test('that is cut is not written again', () => {
    const changes = { workers: [fallen('a', musl.repeat(20))] }
    const before = planned(changes)
    expect(before).toBeDefined()
    const again = observed({ ...changes, ...(before && { status: before }) })
    expect(planWorkerPool(again, { nowMs: NOW, wallMs: NOW }).status).toBeUndefined()
  })

  test('cuts the sentence of a decision that names sixteen Secrets', () => {
    const { load: _, ...queue } = queueOf()
    const queues = Array.from({ length: 16 }, (_none, n) => ({
      ...queue,
      secretName: `${n}-${'s'.repeat(250)}`,
    }))
    const problem = { reason: 'RedisUnreachable', message: '中'.repeat(5_000) } as const
    expect(planned({ queues, workers: 'unknown' })?.decision.message).toMatch(
      /^replicas unchanged at 0: .{998}…$/u,
    )
    expect(planned({ queues: [{ ...queue, problem }], workers: 'unknown' })).toBeDefined()
  })
})
