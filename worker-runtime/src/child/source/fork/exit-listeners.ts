// Exit listeners of modules, like that of npm `tmp`, which removes its folders. Listeners from before the
// fork run when the zygote ends, and not in each child: a child would remove a folder that all of them use.
import type { EventEmitter } from 'node:events'
import { callerOfHook } from './caller.ts'

const EVENTS = ['exit', 'beforeExit', 'afterexit'] as const
type Listener = (...rest: unknown[]) => void

const modules = new Set<string>()

/** Starts to note which modules listen. */
export function noticeExitListeners(): void {
  process.on('newListener', notice)
}

/** Removes all listeners but `own`. Returns a function that adds them again, for the end of this process. */
export function takeExitListeners(own: unknown): { modules: string[]; putBack: () => void } {
  process.removeListener('newListener', notice)
  const taken: (() => void)[] = []
  const takeFrom = (target: EventEmitter) => {
    for (const event of EVENTS)
      for (const listener of target.rawListeners(event) as Listener[]) {
        if (listener === own) continue
        target.removeListener(event, listener)
        taken.push(() => target.on(event, listener))
      }
  }
  takeFrom(process)
  const ofProcess = taken.length
  const { emitter, lists } = signalExit()
  if (emitter) takeFrom(emitter)
  for (const list of lists) {
    const listeners = list.splice(0)
    if (listeners.length > 0) taken.push(() => list.push(...listeners))
  }
  if (taken.length > ofProcess) modules.add('signal-exit')
  return { modules: [...modules], putBack: () => taken.forEach((put) => void put()) }
}

function notice(event: string | symbol): void {
  const caller = event === 'exit' || event === 'beforeExit' ? callerOfHook() : undefined
  if (caller) modules.add(caller.module)
}

/**
 * The package `signal-exit`. It replaces process.emit, and keeps its listeners in one place for all its
 * copies.
 */
function signalExit(): { emitter: EventEmitter | undefined; lists: Listener[][] } {
  const { __signal_exit_emitter__: emitter } = process as { __signal_exit_emitter__?: EventEmitter }
  const { [Symbol.for('signal-exit emitter')]: newer } = globalThis as unknown as Record<
    symbol,
    { listeners: Record<string, Listener[]> } | undefined
  >
  return { emitter, lists: Object.values(newer?.listeners ?? {}) }
}
