// Real children that have loaded the tiny tasks, and what tests ask of them.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AttemptHooks, AttemptSpec } from '../../../worker-runtime/src/child/attempt.ts'
import {
  type Children,
  type ChildSettings,
  startChildren,
} from '../../../worker-runtime/src/child/children.ts'
import type { Outcome } from '../../../worker-runtime/src/child/outcome.ts'
import type { PendingAttempt } from '../../../worker-runtime/src/child/pool.ts'
import { silent } from '../../../worker-runtime/src/log.ts'
import { eventually } from '../../eventually.ts'
import { childrenOf, isAlive, procText } from '../../processes.ts'

export const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))

export interface Tiny extends Children {
  begin(
    task: string,
    input?: unknown,
    options?: Partial<AttemptSpec> & Partial<AttemptHooks>,
  ): PendingAttempt & { outcome: Promise<Outcome> }
  perform(
    task: string,
    input?: unknown,
    options?: Partial<AttemptSpec> & Partial<AttemptHooks>,
  ): Promise<Outcome>
}

export async function startTiny(
  mode: 'Fork' | 'Spawn' | 'Reuse',
  settings: Partial<ChildSettings> = {},
): Promise<Tiny> {
  const children = await startChildren({
    modules: [TINY],
    mode,
    slots: 2,
    loadTimeoutMs: 60_000,
    env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
    log: silent,
    ...settings,
  })
  const begin: Tiny['begin'] = (task, input = null, options = {}) => {
    const { onProgress = () => {}, onOutput = () => {}, onCall = async () => 'null', ...rest } = options
    const { promise: outcome, resolve: onEnded } = Promise.withResolvers<Outcome>()
    const pending = children.run(
      {
        queue: 'default.tiny',
        jobId: 'job-1',
        task,
        attempt: 1,
        payload: JSON.stringify(input),
        timeoutMs: 30_000,
        enqueuedAtMs: 1_000,
        ...rest,
      },
      { onProgress, onOutput, onCall, onEnded },
    )
    return Object.assign(pending, { outcome })
  }
  return { ...children, begin, perform: (...call) => begin(...call).outcome }
}

/** A file that tasks write process ids into, one a line, once they have started. */
export function pidFile(): { path: string; pids(count?: number): Promise<number[]>; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  const path = join(folder, 'started')
  return {
    path,
    pids: (count = 1) =>
      eventually<number[] | undefined>(
        () => {
          const lines = existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').filter(Boolean) : []
          return lines.length >= count ? lines.map(Number) : undefined
        },
        { what: `${count} started processes`, withinMs: 45_000 },
      ),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export async function allGone(pids: number[]): Promise<void> {
  await eventually(() => !pids.some(isAlive), { what: `the end of processes ${pids}` })
}

/** The zygote that a worker has now. */
export function zygoteOf(worker: number): number | undefined {
  return childrenOf(worker).find((pid) => procText(pid, 'cmdline').includes('zygote-entry'))
}

/** Where there is none, a test must not go on and signal whoever has the number that it fell back to. */
export function theZygoteOf(worker: number): number {
  const zygote = zygoteOf(worker)
  if (!zygote) throw new Error(`${worker} has no zygote`)
  return zygote
}

export function resultOf(outcome: Outcome): unknown {
  if (outcome.kind !== 'succeeded') throw new Error(`the attempt did not succeed: ${JSON.stringify(outcome)}`)
  return JSON.parse(outcome.result)
}
