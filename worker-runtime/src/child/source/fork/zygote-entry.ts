// The program of the zygote (zygote.ts starts it): loads the user's modules once, looks whether a fork of
// this process can be right, then forks when the worker orders it (fork.c). From then on only its children
// run JavaScript: each is a child as entry.ts has it, used once. Loading → unfit, or serving until the worker
// ends.
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { definedTasks } from '../../../task.ts'
import {
  beReady,
  isRunning,
  listenTo,
  listenToWorker,
  loadModules,
  rehearseHere,
  sayHowItEnds,
  sayWhoExits,
  sendNow,
  speakTo,
} from '../../inside/entry.ts'
import { doWhatJobsDo, REHEARSAL, rehearsalOrder } from '../../inside/rehearsal.ts'
import { reapZombies } from '../../inside/zombies.ts'
import { readerInChild, type ToChild } from '../../messages.ts'
import { drawAgain, drawnAtLoad, share, stopNoticing } from './drawn.ts'
import { takeExitListeners } from './exit-listeners.ts'
import { leftOpen } from './left-open.ts'
import { loadNative, ZYGOTE_OPTIONS } from './native.ts'
import { renewRandomness } from './randomness.ts'
import { before, bePid } from './zygote-first.ts'

const CONTROL = 3
const REHEARSALS = 60 // further ones gain nothing
const NEEDS_NO_WORKERS_MAJOR = 26 // from V8 14 on, a collection in a child waits for a thread that is not there
const MOST_NAMED = 3
const PATIENCE_MS = 500
const TIMES_CLEAN = 2 // a server that starts to listen appears a turn of the loop later
const LOOK_EVERY_MS = 5

const native = loadNative()
const hasToldV8 = native.beZygote()
process.execArgv = process.execArgv.filter((option) => !ZYGOTE_OPTIONS.includes(option))
const { modules, once, jobsAtOnce, forkShares = [] } = readOrder()
share(forkShares)
const earlier = process.rawListeners('exit')
sayHowItEnds()
const [sayHow] = process.rawListeners('exit').filter((listener) => !earlier.includes(listener))
setFlagsFromString('--no-lazy --no-flush-bytecode') // what is compiled here, no child has to compile
await loadModules({ modules, once })
setFlagsFromString('--lazy --flush-bytecode')
const reason = await whyUnfit()
stopNoticing()
if (reason === undefined) {
  const exitListeners = takeExitListeners(sayHow)
  beReady({ once, jobsAtOnce, isForked: true })
  await rehearse()
  serve(exitListeners)
} else {
  sendNow({ kind: 'unfit', reason })
  leave()
}

/**
 * Runs a job that does nothing a few times, without telling the worker: V8 then compiles its way once, before
 * the fork, and not in every child.
 */
async function rehearse(): Promise<void> {
  const pair = native.pair()
  if (typeof pair === 'number') throw new Error('cannot make a socket')
  const [ours, theirs] = pair
  const silence = openSync('/dev/null', 'w')
  let ran = 0
  const countRun = async () => {
    await doWhatJobsDo()
    ran += 1
  }
  definedTasks().set(REHEARSAL, { name: REHEARSAL, run: countRun })
  speakTo(silence)
  const socket = listenTo(ours)
  for (let id = 1; id <= REHEARSALS; id += 1) {
    writeSync(theirs, rehearsalOrder(id))
    while (ran < id || isRunning(id)) await new Promise((next) => setImmediate(next))
  }
  native.sharePageTables() // those of what the last rehearsal runs
  sayWhoExits()
  await rehearseHere() // as a waiting child does; it speaks to the worker again
  await new Promise((closed) => socket.once('close', closed).destroy())
  closeSync(theirs)
  closeSync(silence)
}

/**
 * For a forked child: every way out ends at once, with its right code. `emit` is where Node itself comes by
 * when the loop has run dry, after all listeners, those of the user too.
 */
function endWithoutTearDown(exit: (code: number) => never): void {
  const emit = process.emit as (...event: unknown[]) => boolean
  const emitAndExit = (...event: unknown[]) => {
    const had = Reflect.apply(emit, process, event)
    if (event[0] === 'exit') exit(Number(process.exitCode ?? event[1] ?? 0))
    return had
  }
  Object.assign(process, { emit: emitAndExit, reallyExit: exit })
}

function beBorn(pid: number): void {
  bePid(pid)
  renewRandomness()
  drawAgain()
}

/** The work of a child before and after its job. */
function rehearseTheRest(): void {
  beBorn(process.pid)
  process.emit('rehearsal' as 'exit', 0)
}

/** Runs from start to end in one turn of the loop: what was made ready is first used in a child. */
function serve(exitListeners: ReturnType<typeof takeExitListeners>): void {
  sendNow({ kind: 'ready', tasks: [...definedTasks().keys()], exitListeners: exitListeners.modules })
  setImmediate(() => {
    listenToWorker() // after the fork, the same descriptor is the child's own channel
    endWithoutTearDown(native.exit)
    rehearseTheRest()
    const pid = native.serve()
    if (pid === 0) {
      exitListeners.putBack()
      leave()
    }
    beBorn(pid) // from here on this is a child
    if (!once) reapZombies(native)
  })
}

/** Ends like any process, with exit listeners. */
function leave(): void {
  try {
    process.emit('exit', 0)
  } finally {
    native.exit(0)
  }
}

/** The first message of the worker, read before the event loop runs. */
function readOrder(): Extract<ToChild, { kind: 'load' }> {
  const reader = readerInChild()
  const chunk = Buffer.alloc(64 * 1024)
  for (;;) {
    const bytes = readSync(CONTROL, chunk)
    for (const message of reader.push(Buffer.from(chunk.subarray(0, bytes))))
      if (message.kind === 'load') return message
    if (bytes === 0) throw new Error('the worker is gone')
  }
}

/**
 * Why forks cannot share the state of the modules. Waits for handles that may close by themselves.
 */
async function whyUnfit(): Promise<string | undefined> {
  if (!hasToldV8 && Number.parseInt(process.versions.node, 10) >= NEEDS_NO_WORKERS_MAJOR)
    return 'this build of Node does not let itself be told to do without helper threads'
  const left = await stillOpen()
  const drawn = drawnAtLoad()
  const reasons = [
    left.length > 0 && `when the modules were loaded, they had left open: ${named(left)}`,
    drawn.length > 0 &&
      `when they were loaded, these drew random values, or read the pid, and all forks would have the same: ${named(drawn)} (draw them in a task; docs/what-a-fork-shares.md)`,
  ].filter((each) => each !== false)
  return reasons.length > 0 ? reasons.join('; and ') : undefined
}

function named(all: string[]): string {
  const more = all.length - MOST_NAMED
  return more > 0 ? `${all.slice(0, MOST_NAMED).join(', ')} and ${more} more` : all.join(', ')
}

async function stillOpen(): Promise<string[]> {
  let timesClean = 0
  for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
    await sleep(LOOK_EVERY_MS)
    const left = leftOpen(before, forkShares)
    timesClean = left.length === 0 ? timesClean + 1 : 0
    if (timesClean === TIMES_CLEAN || waitedMs >= PATIENCE_MS) return left
  }
}
