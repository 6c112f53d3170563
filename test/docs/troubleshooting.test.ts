// docs/troubleshooting.md: it has every code with which a queue refuses a call, and names only reasons and alerts that are there.
import { readFileSync } from 'node:fs'
import { DECISION_REASONS, EVENT_REASONS, REASONS } from '../../control/src/resources/reasons.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/troubleshooting.md')

test('every code of QueueRefused has a row, and no other has', () => {
  const [, union = ''] =
    /readonly code:([\s\S]*?)\n {2}constructor/.exec(read('worker-runtime/src/queue/refused.ts')) ?? []
  const codes = [...union.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => code)
  const rows = page.split('\n').filter((line) => line.startsWith('| `QueueRefused`'))
  const inPage = rows.flatMap((row) => row.split('|')[1]?.match(/[A-Z]+(?:_[A-Z]+)+/g) ?? [])
  expect(inPage.sort()).toEqual(codes.sort())
})

test('every reason and every alert that it names is one', () => {
  const alerts = [...read('docs/metrics.md').matchAll(/\bMillhand[A-Z]\w+/g)].map(([name]) => name)
  const types = [
    'Ready',
    'Suspended',
    'RedisSuitable',
    'QueueRefused',
    'RedisUnavailable',
    'Terminating',
    'OOMKilled',
  ]
  const known = new Set<string>([...REASONS, ...DECISION_REASONS, ...EVENT_REASONS, ...alerts, ...types])
  const named = [...page.matchAll(/`([A-Z][A-Za-z]+)`/g)].map(([, name = '']) => name)
  expect(named.length).toBeGreaterThan(40)
  expect(named.filter((name) => name !== name.toUpperCase() && !known.has(name))).toEqual([])
})
