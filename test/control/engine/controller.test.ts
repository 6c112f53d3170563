import type { Facts, Log } from 'millhand/queue'
import {
  type ControllerObserver,
  type Outcome,
  startController,
} from '../../../control/src/engine/controller.ts'
import { eventually } from '../../eventually.ts'

function logOf(lines: { level: string; message: string; facts: Facts | undefined }[]): Log {
  const at = (level: string) => (message: string, facts?: Facts) => lines.push({ level, message, facts })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of closing.splice(0)) await stop()
})

function start(reconcile: (key: string) => Promise<Outcome>, { workers = 1 } = {}) {
  const lines: { level: string; message: string; facts: Facts | undefined }[] = []
  const results: string[] = []
  const observer: ControllerObserver = {
    onReconciled: ({ controller, result, durationMs }) => {
      results.push(result)
      expect(controller).toBe('pools')
      expect(durationMs).toBeGreaterThanOrEqual(0)
    },
    onRetried: () => results.push('retried'),
  }
  const controller = startController({ name: 'pools', reconcile, workers, log: logOf(lines), observer })
  closing.push(controller.stop)
  return { controller, lines, results }
}

describe('a controller', () => {
  test('reconciles what is put on its queue', async () => {
    const reconciled: string[] = []
    const { controller, results } = start(async (key) => {
      reconciled.push(key)
      return {}
    })
    controller.enqueue('ns/a')
    controller.enqueue('ns/b')
    await eventually(() => reconciled.length === 2)
    expect(reconciled).toEqual(['ns/a', 'ns/b'])
    await eventually(() => results.length === 2)
    expect(results).toEqual(['success', 'success'])
  })

  test('reconciles again after the time that a reconcile names', async () => {
    let count = 0
    const { controller, results } = start(async () => (++count < 3 ? { againInMs: 1 } : {}))
    controller.enqueue('a')
    await eventually(() => results.length === 3)
    expect(results).toEqual(['again', 'again', 'success'])
  })

  test('works on several keys at a time, never on one twice', async () => {
    const running: string[] = []
    const resolvers: (() => void)[] = []
    const { controller } = start(
      (key) => {
        running.push(key)
        return new Promise((resolve) => resolvers.push(() => resolve({})))
      },
      { workers: 2 },
    )
    for (const key of ['a', 'a', 'b', 'c']) controller.enqueue(key)
    await eventually(() => running.length === 2)
    controller.enqueue('a')
    expect(running).toEqual(['a', 'b'])
    resolvers[0]?.()
    await eventually(() => running.length === 3)
    expect(running[2]).toBe('c')
    resolvers[1]?.()
    resolvers[2]?.()
    await eventually(() => running.length === 4)
    expect(running[3]).toBe('a')
    resolvers[3]?.()
  })

  test('tries again after a failure and says so once, and when it succeeds', async () => {
    let count = 0
    const { controller, lines, results } = start(async () => {
      if (++count < 3) throw new Error('no such luck')
      return {}
    })
    controller.enqueue('a')
    await eventually(() => results.includes('success'))
    expect(results).toEqual(['retried', 'error', 'retried', 'error', 'success'])
    expect(lines.map(({ level, facts }) => [level, facts?.failures])).toEqual([
      ['warn', 1],
      ['info', undefined],
    ])
  })

  test('a failure of one key does not keep the others', async () => {
    const reconciled: string[] = []
    const { controller } = start(async (key) => {
      if (key === 'bad') throw new Error('no')
      reconciled.push(key)
      return {}
    })
    controller.enqueue('bad')
    controller.enqueue('good')
    await eventually(() => reconciled.includes('good'))
  })

  test('stops when what is running has ended, and begins nothing more', async () => {
    const begun: string[] = []
    let finish = () => {}
    const { controller } = start((key) => {
      begun.push(key)
      return new Promise((resolve) => {
        finish = () => resolve({ againInMs: 1 })
      })
    })
    controller.enqueue('a')
    controller.enqueue('b')
    await eventually(() => begun.length === 1)
    let hasStopped = false
    const stopping = controller.stop().then(() => {
      hasStopped = true
    })
    await new Promise(setImmediate)
    expect(hasStopped).toBe(false)
    finish()
    await stopping
    expect(begun).toEqual(['a'])
  })
})
