import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { eventually } from '../../eventually.ts'
import { childrenOf, descendants, isAlive, procText } from '../../processes.ts'
import { allGone, pidFile } from './tiny-children.ts'

jest.setTimeout(90_000) // real processes, on a machine that may be busy

const WORKER = fileURLToPath(new URL('./worker-to-be-killed.ts', import.meta.url))
const guardOf = (worker: number) =>
  childrenOf(worker).find((pid) => procText(pid, 'cmdline').startsWith('sh\0'))

describe('when the worker is killed', () => {
  let file: ReturnType<typeof pidFile>
  let worker: ChildProcess | undefined
  beforeEach(() => {
    file = pidFile()
  })
  afterEach(() => {
    worker?.kill('SIGKILL')
    file.remove()
  })
  const start = (...jobs: [task: string, input: object][]): number => {
    const started = jobs.map(([task, input]) => [task, { ...input, started: file.path }])
    worker = spawn(
      process.execPath,
      ['--conditions=millhand-source', WORKER, 'Spawn', JSON.stringify(started)],
      {
        stdio: 'inherit',
      },
    )
    return worker.pid ?? 0
  }

  test('busy-looping children, their grandchildren and the spares go with it', async () => {
    const pid = start(['busy-loops', {}], ['forks-twice', { after: 'busy-loop' }], ['sleeps-forever', {}])
    const started = await file.pids(5)
    const all = descendants(pid)
    expect(all).toEqual(expect.arrayContaining(started))
    process.kill(pid, 'SIGKILL')
    const killedAt = performance.now()
    await allGone(all)
    expect(performance.now() - killedAt).toBeLessThan(5_000)
  })

  test('a guard that was killed before is there again', async () => {
    const pid = start(['busy-loops', {}])
    const started = await file.pids()
    const first = await eventually(() => guardOf(pid))
    process.kill(first, 'SIGKILL')
    const second = await eventually(() => {
      const found = guardOf(pid)
      return found === first ? undefined : found
    })
    const all = descendants(pid)
    process.kill(pid, 'SIGKILL')
    await allGone([...started, ...all, second])
  })

  test('a child of a worker without a guard goes when its channel closes', async () => {
    const pid = start(['sleeps-forever', {}])
    const started = await file.pids()
    process.kill((await eventually(() => guardOf(pid))) as number, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    await allGone(started)
    expect(started.some(isAlive)).toBe(false)
  })
})
