// A small process that outlives `up` for a moment. When `up` ends in any way, SIGKILL included, the pipe
// closes: the guard ends the processes and removes the folder of `up`. Used by index.ts for Redis and the
// workers.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface Guard {
  readonly pid: number | undefined
  /** This process must not outlive `up`. */
  watch(pid: number): void
  /** It has ended: its pid may belong to another process. */
  forget(pid: number): void
  /** This folder is removed with its content. One per guard. */
  removeAtEnd(folder: string): void
  /** Does its work now. */
  stop(): Promise<void>
}

// At the end: SIGTERM, five seconds, SIGKILL. It has its own session, so that Ctrl-C does not reach it.
const SCRIPT = `
pids= folder=
while read -r verb what; do
  case $verb in
    watch) pids="$pids $what" ;;
    forget) kept=; for pid in $pids; do [ "$pid" = "$what" ] || kept="$kept $pid"; done; pids=$kept ;;
    folder) folder=$what ;;
  esac
done
[ -n "$pids" ] && kill -TERM $pids 2>/dev/null
for pid in $pids; do
  tries=0
  while kill -0 "$pid" 2>/dev/null && [ $tries -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$pid" 2>/dev/null
done
[ -n "$folder" ] && rm -rf -- "$folder"
exit 0
`

export function startGuard(): Guard {
  const guard = spawn('/bin/sh', ['-c', SCRIPT, 'millhand-guard'], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const ended = once(guard, 'exit')
  guard.unref()
  // Without a guard only a SIGKILL of `up` leaves processes behind.
  guard.on('error', () => {})
  guard.stdin.on('error', () => {})
  const tell = (line: string) => guard.stdin.writable && guard.stdin.write(`${line}\n`)
  return {
    pid: guard.pid,
    watch: (pid) => tell(`watch ${pid}`),
    forget: (pid) => tell(`forget ${pid}`),
    removeAtEnd: (folder) => tell(`folder ${folder}`),
    async stop() {
      guard.ref()
      guard.stdin.end()
      if (guard.exitCode === null && guard.pid !== undefined) await ended.catch(() => {})
    },
  }
}
