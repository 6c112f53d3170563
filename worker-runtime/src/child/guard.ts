// Ends the children of a worker that was killed: a child that busy-loops cannot notice that its channel has closed. A tiny shell in a
// session of its own reads "+<group>" and "-<group>" from a pipe; at its end the worker is dead, and the groups that remain are killed.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Log } from '../log.ts'

const SCRIPT = `
groups=' '
while read -r line; do
  group=\${line#?}
  case $line in
    +*) groups="$groups$group " ;;
    -*) case $groups in *" $group "*) groups="\${groups%% $group *} \${groups#* $group }" ;; esac ;;
  esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
`
const RESTART_AFTER_MS = 200

export class Guard {
  readonly #groups = new Set<number>()
  readonly #log: Log
  #shell: ChildProcess | undefined
  #restart: NodeJS.Timeout | undefined
  #isStopped = false

  constructor(log: Log) {
    this.#log = log
    // When PID 1 dies, the kernel ends everything in the container.
    if (process.pid === 1) log.debug('no guard: the worker is PID 1')
    else this.#start()
  }

  add(group: number): void {
    this.#groups.add(group)
    this.#tell(`+${group}\n`)
  }

  remove(group: number): void {
    if (this.#groups.delete(group)) this.#tell(`-${group}\n`)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#restart)
    const shell = this.#shell
    if (shell?.pid === undefined) return
    const ended = new Promise((resolve) => {
      shell.once('close', resolve)
    })
    shell.stdin?.end()
    await ended
  }

  #start(): void {
    const shell = spawn('sh', ['-c', SCRIPT], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: pathOnly(),
    })
    this.#shell = shell
    shell.stdin?.on('error', () => {}) // its end is told by 'close'
    shell.once('error', (error) => this.#log.debug('no guard: sh cannot be started', { error }))
    shell.once('close', () => this.#ended(shell))
    this.#tell([...this.#groups].map((group) => `+${group}\n`).join(''))
  }

  #ended(shell: ChildProcess): void {
    this.#shell = undefined
    if (this.#isStopped || shell.pid === undefined) return
    this.#log.warn('the guard of the children has ended; starting another')
    this.#restart = setTimeout(() => this.#start(), RESTART_AFTER_MS)
  }

  #tell(lines: string): void {
    if (lines && this.#shell?.stdin?.writable) this.#shell.stdin.write(lines)
  }
}

function pathOnly(): NodeJS.ProcessEnv {
  return { PATH: '/usr/local/bin:/usr/bin:/bin' }
}
