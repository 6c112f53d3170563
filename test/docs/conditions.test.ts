// docs/conditions.md has a row for every reason, and for none else; and what it tells tools to do with conditions is right.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connectRedis } from 'millhand/queue'
import { DECISION_REASONS, EVENT_REASONS, REASONS } from '../../control/src/resources/reasons.ts'
import { redisUrl } from '../redis.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(`${root}/docs/conditions.md`, 'utf8')

/** The cells that hold reasons. */
const inRows = [...page.matchAll(/^\| \w+ \| ([\w, …]+) \|/gm)]
  .flatMap(([, cell = '']) => cell.split(/, ?/))
  .filter((word) => /^[A-Z]\w+$/.test(word))

test('every reason has a row that says what it means and what to do, and no other word has', () => {
  const ofDecisions: readonly string[] = DECISION_REASONS
  const missing = REASONS.filter((reason) => !ofDecisions.includes(reason) && !inRows.includes(reason))
  expect(missing).toEqual([])
  const known: readonly string[] = REASONS
  expect(inRows.filter((reason) => reason !== 'reason' && !known.includes(reason))).toEqual([])
})

test('every reason of a decision and of an Event is told', () => {
  expect(DECISION_REASONS.filter((reason) => !new RegExp(`\\b${reason}\\b`).test(page))).toEqual([])
  expect(EVENT_REASONS.filter((reason) => !page.includes(`\`${reason}\``))).toEqual([])
})

test('every reason is given somewhere', () => {
  const sources = ['control/src', 'operator/src'].flatMap((folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('reasons.ts'))
      .map((name) => readFileSync(`${root}/${folder}/${name}`, 'utf8')),
  )
  const text = sources.join('\n')
  expect([...REASONS, ...EVENT_REASONS].filter((reason) => !text.includes(`'${reason}'`))).toEqual([])
})

describe('the health check for Argo CD', () => {
  const lua = /health\.millhand\.dev_WorkerPool: \|\n((?: {4}.*\n)+)/.exec(page)?.[1] ?? ''
  const condition = (type: string, status: string) => ({ type, status, message: `${type} in words` })
  const objectWith = (conditions: object[], observedGeneration = 2) => ({
    metadata: { generation: 2 },
    status: { observedGeneration, conditions },
  })
  const [isReady, isUnready] = [condition('Ready', 'True'), condition('Ready', 'False')]
  const [isStalled, isFine] = [condition('Stalled', 'True'), condition('Stalled', 'False')]

  test.each<[string, object, string, string]>([
    ['just created', { metadata: { generation: 1 } }, 'Progressing', 'not looked at yet'],
    ['changed just now', objectWith([isReady, isFine], 1), 'Progressing', 'not looked at yet'],
    ['starting', objectWith([isUnready, isFine]), 'Progressing', 'Ready in words'],
    ['that works', objectWith([isReady, isFine]), 'Healthy', 'Ready in words'],
    ['that a person has to mend', objectWith([isUnready, isStalled]), 'Degraded', 'Ready in words'],
    ['whose rollout is stuck', objectWith([isReady, isStalled]), 'Degraded', 'Ready in words'],
  ])('calls a resource %s what it is', async (_, object, status, message) => {
    // Redis and Argo CD speak the same Lua.
    const redis = connectRedis(redisUrl())
    try {
      const script = `local function check(obj) ${lua} end
        local health = check(cjson.decode(ARGV[1]))
        return {health.status, health.message}`
      expect(await redis.call('EVAL', script, '0', JSON.stringify(object))).toEqual([status, message])
    } finally {
      redis.close()
    }
  })
})
