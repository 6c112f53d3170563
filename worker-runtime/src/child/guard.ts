// Ends the children of a killed worker: a child in a busy loop cannot notice that its channel has closed. A
// small shell in its own session reads "+<group>" and "-<group>" from a pipe. The pipe closes when the worker
// dies, and the shell kills the remaining groups. Signals for the worker do not reach it.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Log } from '../log.ts'
import { isOurs } from './orphans.ts'

const SCRIPT = `
trap '' HUP INT TERM
groups=" $* "
while read -r line; do
  group=\${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
below() {
  for child in $(cat /proc/$1/task/*/children 2>/dev/null); do echo $child; below $child; done
}
for group in $groups; do
  detached=$(below $group)
  kill -s KILL -- "-$group" $detached
done
`
const RESTART_AFTER_MS = 200
const TELL_EVERY_MS = 10 // each write wakes the shell; it never hears of shorter jobs

export class Guard {
  readonly #groups = new Set<number>()
  readonly #log: Log
  #told = new Set<number>()
  #telling: NodeJS.Timeout | undefined
  #shell: ChildProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(log: Log) {
    this.#log = log
    // When PID 1 dies, the kernel ends all processes of the container.
    if (process.pid === 1) log.debug('no guard: the worker is PID 1')
    else this.#start()
  }

  add(group: number): void {
    this.#groups.add(group)
    this.#tellSoon()
  }

  remove(group: number): void {
    if (this.#groups.delete(group)) this.#tellSoon()
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#restart)
    clearTimeout(this.#telling)
    const shell = this.#shell
    if (shell?.pid === undefined) return
    const ended = new Promise((resolve) => {
      shell.once('close', resolve)
    })
    shell.stdin?.end()
    await ended
  }

  #start(): void {
    this.#told = new Set(this.#groups)
    // The first groups are arguments, so the shell knows them from its start.
    const shell = isOurs(
      spawn('sh', ['-c', SCRIPT, 'sh', ...[...this.#told].map(String)], {
        detached: true,
        stdio: ['pipe', 'ignore', 'ignore'],
        env: pathOnly(),
      }),
    )
    this.#shell = shell
    shell.stdin?.on('error', () => {}) // 'close' tells the end
    shell.once('error', (error) => this.#log.debug('no guard: sh cannot be started', { error }))
    shell.once('close', () => this.#ended(shell))
  }

  #ended(shell: ChildProcess): void {
    this.#shell = undefined
    if (this.#isStopped || shell.pid === undefined) return
    this.#log.warn('the guard of the children has ended; starting another')
    this.#restart = setTimeout(() => this.#start(), RESTART_AFTER_MS)
  }

  #tellSoon(): void {
    this.#telling ??= setTimeout(() => this.#tell(), TELL_EVERY_MS)
  }

  #tell(): void {
    this.#telling = undefined
    const added = [...this.#groups].filter((group) => !this.#told.has(group)).map((group) => `+${group}\n`)
    const removed = [...this.#told].filter((group) => !this.#groups.has(group)).map((group) => `-${group}\n`)
    this.#told = new Set(this.#groups)
    const lines = [...removed, ...added].join('')
    if (lines && this.#shell?.stdin?.writable) this.#shell.stdin.write(lines)
  }
}

function pathOnly(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/bin:/usr/bin:/bin' }
}
