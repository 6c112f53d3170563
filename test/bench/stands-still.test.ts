// A peer that stands still costs the bench one bounded round and is told as such; whatever ends the bench, no folder stays.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Peer } from '../../bench/peer.ts'
import { reportOf, tableOf } from '../../bench/report.ts'
import { contendersOf, type Plan, runScenario } from '../../bench/runner.ts'
import { RATE, type Scenario } from '../../bench/scenario.ts'
import { drain } from '../../bench/steps.ts'
import { isAlive } from '../processes.ts'

const program = (text: string) =>
  spawn(process.execPath, ['--eval', text], { stdio: ['pipe', 'pipe', 'pipe'] })

/** Its worker consumes, it says, and settles this many of ten jobs a moment apart. */
const settling = (name: string, most: number): Peer => {
  let settled = 0
  return {
    ...{ name, title: name, delivery: 'at least once', remark: '' },
    install: async () => ({}),
    startProducer: () => program(''),
    startWorker: () => {
      settled = 0
      return program(`console.log('{"ready":true}'); setInterval(() => {}, 1000)`)
    },
    unsettled: async () => {
      settled = Math.min(most, settled + 0.5)
      return 10 - Math.floor(settled)
    },
  }
}

const scenario: Scenario = {
  ...{ id: 'B0', title: 'a drain', about: '', peers: [], figures: [RATE] },
  jobs: { warmUp: 10, most: 10 },
  round: (round) => drain(round, { slots: 1, task: 'no-op' }, { judge: () => [] }),
  criteria: () => [],
}

test.each([
  ['in its warm-up', true, 0],
  ['in its first round', false, 1],
])(
  'a peer that stands still %s is left out of the rounds behind, and the table says so',
  async (_, hasWarmUp, round) => {
    const played: string[] = []
    const plan: Plan = {
      ...{ cache: '', extent: 'normal', rounds: 3, stillMs: 300, isStopping: () => false },
      onRound: (_scenario, { peer }, nth) => played.push(`${peer.name} ${nth}`),
    }
    const peers = [settling('hangs', 4)]
    const ran = reportOf(
      await runScenario({ ...scenario, hasWarmUp }, contendersOf(scenario, peers, 'normal'), plan),
    )
    expect(played).toEqual([`hangs ${round}`])
    const table = tableOf(ran)
    expect(table).toMatch(/^\| hangs +\|.*\| stood still \|$/m)
    expect(table).toMatch(
      new RegExp(
        `LEFT OUT hangs, from its (warm-up|round ${round}): it stood still for 0.3 s, with 6 of 10 jobs left`,
      ),
    )
  },
  60_000,
)

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s ends what was started and leaves no folder',
  async (signal) => {
    const text = `
    import { Program, stopWhenInterrupted, temporaryFolder } from '${new URL('../../bench/processes.ts', import.meta.url)}'
    import { spawn } from 'node:child_process'
    stopWhenInterrupted()
    const child = new Program(spawn('sleep', ['600'], { stdio: ['pipe', 'pipe', 'pipe'] }), 'a sleep')
    console.log(JSON.stringify({ folder: temporaryFolder(), pid: child.pid }))`
    const bench = spawn(process.execPath, [
      '--conditions=millhand-source',
      '--input-type=module',
      '--eval',
      text,
    ])
    const said = await new Promise<string>((resolve) =>
      bench.stdout.once('data', (chunk) => resolve(String(chunk))),
    )
    const { folder, pid } = JSON.parse(said)
    expect(existsSync(folder)).toBe(true)
    bench.kill(signal)
    const code = await new Promise((resolve) => bench.once('exit', resolve))
    expect(code).toBe(130)
    expect(existsSync(folder)).toBe(false)
    expect(isAlive(pid)).toBe(false)
  },
)
