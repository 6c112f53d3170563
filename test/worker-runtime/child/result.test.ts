// An attempt in a child of its own is over when the child has said its result: what the child does after that is waited for by its slot alone.
import { jest } from '@jest/globals'
import { eventually } from '../../eventually.ts'
import { isAlive } from '../../processes.ts'
import { allGone, pidFile, resultOf, startTiny, type Tiny } from './tiny-children.ts'

jest.setTimeout(60_000) // real processes, on a machine that may be busy

interface Told {
  pid: number
  isFileThere: boolean
}
const told = (outcome: Parameters<typeof resultOf>[0]) => resultOf(outcome) as Told

describe.each(['Fork', 'Spawn'] as const)('with %s', (mode) => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny(mode, { slots: 1, maxMemoryBytes: 300 * 2 ** 20 })
  })
  afterAll(() => tiny.stop())

  test('the outcome is told while the child still lives, and the next job starts when it has gone', async () => {
    const { path: file, remove } = pidFile()
    const { pid } = told(await tiny.perform('goes-on', { how: 'blocks-and-tells', file }))
    expect(isAlive(pid)).toBe(true)
    expect(told(await tiny.perform('goes-on', { how: 'nothing', file })).isFileThere).toBe(true)
    remove()
  })

  test('a job that waits for a slot can be stopped', async () => {
    const first = tiny.begin('goes-on', { how: 'blocks-and-tells' })
    await first.outcome
    const second = tiny.begin('noop')
    second.stop('cancelled')
    expect(await second.outcome).toMatchObject({ kind: 'cancelled' })
  })

  test('what is written after the result is logged, the unfinished line too', async () => {
    const lines: string[] = []
    const outcome = await tiny.perform(
      'goes-on',
      { how: 'writes' },
      { onOutput: (_, line) => void lines.push(line) },
    )
    expect(outcome.kind).toBe('succeeded')
    await eventually(() => lines.includes('two'), { what: 'the last line' })
    expect(lines).toEqual(['one', 'two'])
  })

  test('what was written to the pipes before the result is in the record', async () => {
    for (let round = 0; round < 10; round += 1) {
      const outcome = await tiny.perform('runs-echo', { text: `round ${round}` })
      expect(outcome.facts.output).toBe(`round ${round}\n`)
    }
  })

  test.each(['exits', 'throws', 'kills-itself', 'eats-memory', 'breaks-the-protocol', 'blocks-for-ever'])(
    'a child that %s after its result does not change it, and ends',
    async (how) => {
      const outcome = await tiny.perform('goes-on', { how })
      expect(outcome.kind).toBe('succeeded')
      expect(await tiny.perform('noop')).toMatchObject({ kind: 'succeeded' })
      await allGone([told(outcome).pid])
    },
  )

  test('what the job has used until its result is told with it', async () => {
    const { facts } = await tiny.perform('burns', { cpuMs: 150 })
    expect(facts.cpuUserMs).toBeGreaterThanOrEqual(150)
    expect(facts.cpuUserMs).toBeLessThan(1_000)
    expect(facts.maxRssBytes).toBeGreaterThan(10 * 2 ** 20)
    expect(facts.maxRssBytes).toBeLessThan(250 * 2 ** 20)
  })

  test('stop() waits for a child whose job has its result', async () => {
    const other = await startTiny(mode, { slots: 1 })
    const { pid } = told(await other.perform('goes-on', { how: 'blocks-and-tells' }))
    await other.stop()
    expect(isAlive(pid)).toBe(false)
  })
})
