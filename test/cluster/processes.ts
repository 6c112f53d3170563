// Processes that outlive the program which started them, told apart by pid and start time so that a pid used again harms nobody.
import { spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { childrenOf, procText, sendSignal } from '../processes.ts'

export interface ProcessMark {
  pid: number
  /** In clock ticks since the machine started, as in /proc. */
  startedAtTicks: number
}

export function markOf(pid: number): ProcessMark | undefined {
  const afterName = procText(pid, 'stat')
    .replace(/^.*\) /s, '')
    .split(' ')
  const [state] = afterName
  return !state || state === 'Z' ? undefined : { pid, startedAtTicks: Number(afterName[19]) }
}

export function isAlive(mark: ProcessMark | undefined): boolean {
  return mark !== undefined && markOf(mark.pid)?.startedAtTicks === mark.startedAtTicks
}

/** Starts a process in a session of its own; its output goes to a file. */
export function startDetached(command: readonly string[], logFile: string): ProcessMark {
  const [program = '', ...args] = command
  const log = openSync(logFile, 'a')
  try {
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] })
    child.on('error', () => {})
    child.unref()
    const mark = child.pid === undefined ? undefined : markOf(child.pid)
    if (!mark) throw new Error(`cannot start ${program}: see ${logFile}`)
    return mark
  } finally {
    closeSync(log)
  }
}

/**
 * Ends a process of `startDetached`: SIGTERM, then SIGKILL. What runs in a box is the child of an `nsenter`, which ends with it and
 * buries it; were it to end first, the child would be left to whatever is this machine's first process.
 */
export async function end(mark: ProcessMark | undefined, { patienceMs = 5_000 } = {}): Promise<void> {
  if (!mark || !isAlive(mark)) return
  const hasEnded = () => !isAlive(mark)
  for (const [signal, withinMs] of [['SIGTERM', patienceMs] as const, ['SIGKILL', 10_000] as const]) {
    const asked = childrenOf(mark.pid)
    for (const pid of asked.length > 0 ? asked : [mark.pid]) sendSignal(pid, signal)
    if (await until(hasEnded, { withinMs })) return
  }
  throw new Error(`process ${mark.pid} does not end`)
}

export function kill(mark: ProcessMark | undefined): void {
  if (mark && isAlive(mark)) sendSignal(mark.pid, 'SIGKILL')
}

export async function until(
  look: () => unknown,
  {
    withinMs,
    everyMs = 25,
    signal,
  }: { withinMs: number; everyMs?: number; signal?: AbortSignal | undefined },
): Promise<boolean> {
  const giveUpAtMs = performance.now() + withinMs
  for (;;) {
    signal?.throwIfAborted()
    if (await look()) return true
    if (performance.now() > giveUpAtMs) return false
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
