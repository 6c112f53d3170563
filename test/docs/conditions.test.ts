// docs/conditions.md names every reason that the operator's sources give, and none else; and what it tells tools to do with conditions is right.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connectRedis } from 'millhand/queue'
import { REASONS } from '../../control/src/decide/suitable.ts'
import { redisUrl } from '../redis.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(`${root}/docs/conditions.md`, 'utf8')
const FOLDERS = ['control/src/decide', 'control/src/redis', 'operator/src'].concat(
  ['fleet', 'task-queue', 'worker-pool'].map((folder) => `operator/src/${folder}`),
)
const sources = FOLDERS.flatMap((folder) =>
  readdirSync(`${root}/${folder}`)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(`${root}/${folder}/${name}`, 'utf8')),
)

const STATUSES = ['True', 'False', 'Unknown']
/** Of Events only, which the page tells of in sentences. */
const OF_EVENTS = ['Normal', 'Warning', 'ScaledUp', 'ScaledDown', 'EnqueuesLost']

/** Words in quotes where a reason is given or listed. */
function reasonsInSources(): string[] {
  const WORD = "'([A-Z][A-Za-z]+)'"
  const places = [
    `\\breason: ${WORD}`,
    `(?:finding\\('\\w+', |problem\\(\\s*|trouble\\(|lasts\\()${WORD}`,
    `reason:\\n(?:\\s+\\| '\\w+')*?\\s+\\| ${WORD}`,
    `\\? ${WORD} : `,
  ]
  const found = places.flatMap((place) =>
    sources.flatMap((text) => [...text.matchAll(new RegExp(place, 'g'))].map(([, reason = '']) => reason)),
  )
  return [...new Set([...found, ...Object.values(REASONS)])]
    .filter((word) => !STATUSES.includes(word) && !OF_EVENTS.includes(word))
    .sort()
}

/** The cells that hold reasons, and the sentence about decisions. */
function reasonsInPage(): string[] {
  const cells = [...page.matchAll(/^\| \w+ \| ([\w, …]+) \|/gm)].flatMap(([, cell = '']) => cell.split(/, ?/))
  const decisions =
    /why there are as many pods: ([^.]*), or the reason/.exec(page)?.[1]?.split(/\s+·\s+/) ?? []
  return [...new Set([...cells, ...decisions])].filter((word) => /^[A-Z]\w+$/.test(word))
}

test('every reason has a line that says what it means and what to do', () => {
  const reasons = reasonsInSources()
  expect(reasons.length).toBeGreaterThan(45)
  const told = reasonsInPage()
  expect(reasons.filter((reason) => !told.includes(reason))).toEqual([])
})

test('no reason is told that is never given', () => {
  const text = sources.join('\n')
  const given = [...reasonsInSources(), ...Object.values(REASONS)]
  const never = reasonsInPage().filter((reason) => !given.includes(reason) && !text.includes(`'${reason}'`))
  expect(never).toEqual([])
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
