// The program of the zygote (zygote.ts starts it): loads the user's modules once, looks whether a fork of this process can be right,
// then forks when the worker orders it (native/fork.c). From then on only its children run JavaScript: each is a child as entry.ts
// has it, used once. Loading → unfit, or serving until the worker ends.
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { definedTasks } from '../task.ts'
import {
  beReady,
  endWithoutTearDown,
  listenToWorker,
  loadModules,
  rehearse,
  sayHowItEnds,
  sendNow,
} from './entry.ts'
import { loadNative, ZYGOTE_OPTIONS } from './native.ts'
import { readerInChild, type ToChild } from './protocol.ts'
import { makeRandomnessForkable, renewRandomness } from './randomness.ts'
import { reapZombies } from './zombies.ts'

const CONTROL = 3
const NEEDS_NO_WORKERS_MAJOR = 26 // from V8 14 on, a collection in a child waits for a thread that is not there
const PATIENCE_MS = 500
const TIMES_CLEAN = 2 // a server that is about to listen shows up a turn of the loop later
const LOOK_EVERY_MS = 5
const NODE_THREADS = ['V8Worker', 'DelayedTaskSche', 'SignalInspector', 'libuv-worker']
/** Of the process's own output, and the end of what is closed. */
const OWN_RESOURCES = ['PipeWrap', 'TTYWrap', 'CloseReq']

let pid = process.pid
const native = loadNative()
const hasToldV8 = native.beZygote()
process.execArgv = process.execArgv.filter((option) => !ZYGOTE_OPTIONS.includes(option))
Object.defineProperty(process, 'pid', { get: () => pid, enumerable: true, configurable: true })
makeRandomnessForkable()
sayHowItEnds()
await readFile('/proc/self/stat') // starts libuv's threads, so that any thread more is a module's
const ownThreads = new Set(threads().filter(isOfNode))

const { modules, once, jobsAtOnce } = readOrder()
await loadModules({ modules, once })
const reason = await whyUnfit()
if (reason === undefined) {
  await rehearseOnce()
  serve()
} else sendNow({ kind: 'unfit', reason })

async function rehearseOnce(): Promise<void> {
  const pair = native.pair()
  if (typeof pair === 'number') throw new Error('cannot make a socket')
  const silence = openSync('/dev/null', 'w')
  await rehearse(pair, silence)
  closeSync(pair[1])
  closeSync(silence)
}

/** What a child does before its job and after it. */
function rehearseTheRest(): void {
  renewRandomness()
  process.emit('rehearsal' as 'exit', 0)
}

/** Runs from start to end in one turn of the loop: what was made ready is first used in a child. */
function serve(): void {
  sendNow({ kind: 'ready', tasks: [...definedTasks().keys()] })
  setImmediate(() => {
    listenToWorker() // after the fork, the same descriptor is the child's own channel
    beReady({ once, jobsAtOnce, usageIsCounted: once })
    endWithoutTearDown(native.exit)
    rehearseTheRest()
    pid = native.serve()
    // From here on this is a child.
    renewRandomness()
    if (!once) reapZombies(native)
  })
}

/** The first message of the worker, before there is a loop that would read. */
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

/** What the modules have left open that copies of this process cannot share; where that may end by itself, it is waited for. */
async function whyUnfit(): Promise<string | undefined> {
  if (!hasToldV8 && Number.parseInt(process.versions.node, 10) >= NEEDS_NO_WORKERS_MAJOR)
    return 'this build of Node does not let itself be told to do without helper threads'
  let timesClean = 0
  for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
    await sleep(LOOK_EVERY_MS)
    const left = leftOpen()
    timesClean = left.length === 0 ? timesClean + 1 : 0
    if (timesClean === TIMES_CLEAN) return
    if (waitedMs >= PATIENCE_MS) return `when the modules were loaded, they had left open: ${left.join(', ')}`
  }
}

function leftOpen(): string[] {
  const resources = process.getActiveResourcesInfo().filter((name) => !OWN_RESOURCES.includes(name))
  const foreignThreads = threads().filter((thread) => !ownThreads.has(thread))
  return [
    ...new Set(resources),
    ...sockets().map((descriptor) => `a socket (descriptor ${descriptor})`),
    ...foreignThreads.map((thread) => `a thread (${nameOf(thread)})`),
    ...children().map((pid) => `a process (${pid})`),
  ]
}

function threads(): string[] {
  return readdirSync('/proc/self/task')
}

/** What is loaded with --import may have started others by now: hooks of modules run in one. Releases without names call all alike. */
function isOfNode(thread: string): boolean {
  return [nameOf(String(process.pid)), ...NODE_THREADS].includes(nameOf(thread))
}

function nameOf(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim()
  } catch {
    return thread
  }
}

/** Those that no loop waits for too: an idle connection of a pool would be shared by all children. */
function sockets(): number[] {
  const descriptors = readdirSync('/proc/self/fd').map(Number)
  return descriptors.filter((descriptor) => descriptor > CONTROL && isSocket(descriptor))
}

function isSocket(descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:')
  } catch {
    return false // it was the one that this folder was read with
  }
}

function children(): string[] {
  try {
    return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').filter(Boolean)
  } catch {
    return [] // a kernel that does not tell
  }
}
