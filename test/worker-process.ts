// A real worker process under test: started as a pod would start it, watched through its log, killed at will.
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { eventually } from './eventually.ts'

const MAIN = fileURLToPath(new URL('../worker-runtime/src/main.ts', import.meta.url))

export interface WorkerOptions {
  redisUrl: string
  /** Names of queues in the namespace. */
  queues: string[]
  namespace?: string
  modules: string[]
  slots?: number
  isolation?: 'Fork' | 'Spawn' | 'Reuse'
  env?: Record<string, string>
  /** Who it runs as; default: whoever runs the tests. */
  uid?: number | undefined
  /** Of its process, as prlimit takes them. */
  limits?: string[]
  /** Of another release; default: this one's, from its sources. */
  program?: string[]
}

export interface LogLine {
  level: string
  message: string
  [fact: string]: unknown
}

export class WorkerProcess {
  readonly child: ChildProcess
  readonly lines: LogLine[] = []
  stderr = ''
  readonly ended: Promise<{ code: number | null; signal: string | null }>

  constructor(options: WorkerOptions) {
    const { redisUrl, queues, namespace = 'test', modules, slots = 2, isolation = 'Fork', env = {} } = options
    const { program = ['--conditions=millhand-source', MAIN] } = options
    const node = [process.execPath, ...program, ...modules]
    const [command = '', ...args] = options.limits ? ['prlimit', ...options.limits, ...node] : node
    this.child = spawn(command, args, {
      env: {
        PATH: process.env.PATH,
        MILLHAND_REDIS_URL: redisUrl,
        MILLHAND_NAMESPACE: namespace,
        MILLHAND_QUEUES: JSON.stringify(queues.map((name) => ({ name }))),
        MILLHAND_SLOTS: String(slots),
        MILLHAND_ISOLATION: isolation,
        MILLHAND_LOG_LEVEL: 'debug',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.uid !== undefined && { uid: options.uid, gid: options.uid }),
    })
    let rest = ''
    this.child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) this.lines.push(JSON.parse(line))
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk
    })
    this.ended = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  get process(): string {
    return String(this.said('worker ready')?.process ?? '')
  }

  said(message: string): LogLine | undefined {
    return this.lines.find((line) => line.message === message)
  }

  /** Rejects at once, with what the worker said, when it ends before it is ready. */
  async ready(): Promise<this> {
    let ending: string | undefined
    void this.ended.then(({ code, signal }) => {
      ending = `the worker ended before it was ready (${signal ?? `exit code ${code}`}): ${this.stderr}`
    })
    await eventually(() => this.said('worker ready') ?? ending, {
      what: 'the worker is ready',
      withinMs: 60_000,
    })
    if (ending !== undefined && !this.said('worker ready')) throw new Error(ending)
    return this
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  async stop(): Promise<{ code: number | null; signal: string | null }> {
    this.kill('SIGTERM')
    return this.ended
  }
}

/** Starts a worker and waits until it has loaded its tasks and registered. */
export function startWorker(options: WorkerOptions): Promise<WorkerProcess> {
  return new WorkerProcess(options).ready()
}
