// docs/scaling.md: the numbers of its examples are what the operator decides, those of the model are what the model said, and every reason
// of a decision is explained.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { numberText } from '../../bench/scenario.ts'
import { decideReplicas, noHistory } from '../../control/src/decide/replicas.ts'
import { workerPool } from '../control/resources/crds.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/scaling.md')
const rowsOf = (pattern: RegExp) => [...page.matchAll(pattern)].map(([, ...cells]) => cells)

describe('the first pool', () => {
  const [, manifest = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
  const pool = workerPool(parse(manifest).spec)
  const rows = rowsOf(/^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\w+) \|$/gm)

  test.each(rows)('with %s jobs ready, %s running and %s pods gets %s: %s', (...cells) => {
    const [ready, busy, current, wanted] = cells.slice(0, 4).map(Number) as [number, number, number, number]
    const load = { busy, queues: [{ ready, busy, isStopped: false, share: 1 }] }
    const { replicas, reason } = decideReplicas({ pool, current, load, history: noHistory, nowMs: 1e7 })
    expect([replicas, reason]).toEqual([wanted, cells[4]])
  })

  test('has five examples', () => expect(rows).toHaveLength(5))
})

test('every reason of a decision has a row', () => {
  const source = read('control/src/decide/replicas.ts')
  const given = [...source.matchAll(/reason: '(\w+)'/g)].map(([, reason]) => reason)
  const explained = rowsOf(/^\| (\w+) \| .* \| .* \|$/gm).map(([reason]) => reason)
  expect(given.length).toBeGreaterThan(8)
  expect(given.filter((reason) => reason !== 'RedisUnreachable' && !explained.includes(reason))).toEqual([])
})

interface Figures {
  peer: string
  figures: Record<'p95' | 'podHours' | 'killed', { median: number }>
}
const model = JSON.parse(read('bench/results/scaling.json')) as {
  command: string
  loads: { id: string; rows: Figures[] }[]
}
const figuresOf = (id: string, peer: string) => {
  const found = model.loads.find((load) => load.id === id)?.rows.find((row) => row.peer === peer)
  if (!found) throw new Error(`the model has no ${id} of ${peer}`)
  return found.figures
}

test('the command is the one that made the numbers', () => {
  expect(page).toContain(`\`${model.command}\``)
})

test.each(rowsOf(/^\| (\w+): [^|]* \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$/gm))('%s', (load = '', ...cells) => {
  const peers = ['millhand', 'keda', 'keda-tuned']
  const told = peers.map((peer) => {
    const { p95, podHours, killed } = figuresOf(load, peer)
    return [p95, podHours, killed].map(({ median }) => numberText(median)).join(' · ')
  })
  expect(cells).toEqual(told)
})

test('what a slot for each job costs more than tuned KEDA', () => {
  const [ours, tuned] = ['millhand', 'keda-tuned'].map((peer) => figuresOf('day', peer).podHours.median)
  const [, percent] = /(\d+) % in the day above/.exec(page) ?? []
  expect(Math.round(((ours ?? 0) / (tuned ?? 1) - 1) * 100)).toBe(Number(percent))
})
