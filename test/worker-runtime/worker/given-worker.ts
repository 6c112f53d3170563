// A worker in this process, with queues that live in different Redis servers: no program has that yet, so main.ts cannot be asked for it.
import { connectRedis } from 'millhand/queue'
import { startChildren } from '../../../worker-runtime/src/child/children.ts'
import { createLog } from '../../../worker-runtime/src/log.ts'
import { openQueue } from '../../../worker-runtime/src/queue/queue.ts'
import { Consumer } from '../../../worker-runtime/src/worker/consumer.ts'
import { LiveOutput } from '../../../worker-runtime/src/worker/live-output.ts'
import { Waker } from '../../../worker-runtime/src/worker/waker.ts'
import { Worker } from '../../../worker-runtime/src/worker/worker.ts'
import { RECORDED } from '../../faults/scene.ts'
import type { LogLine } from '../../worker-process.ts'

export interface Place {
  url: string
  queue: string
}

export interface GivenWorker {
  readonly lines: LogLine[]
  readonly consumers: readonly Consumer[]
  /** Queues that refused to settle an attempt, in turn. */
  readonly refused: string[]
  stop(drainTimeoutMs?: number): Promise<void>
}

/** As main.ts wires it. `deadlineMs` is how long a call to Redis may take. */
export async function givenWorker({
  places,
  slots,
  deadlineMs = 2_500,
}: {
  places: readonly Place[]
  slots: number
  deadlineMs?: number
}): Promise<GivenWorker> {
  const lines: LogLine[] = []
  const log = createLog({ level: 'debug', write: (line) => lines.push(JSON.parse(line)) })
  const env = { PATH: process.env.PATH }
  const children = await startChildren({
    modules: [RECORDED],
    mode: 'Reuse',
    slots,
    loadTimeoutMs: 60_000,
    env,
    log,
  })
  const broken: unknown[] = []
  const refused: string[] = []
  let ring = () => {}
  const parts = places.map(({ url, queue }, at) => {
    const [commands, messages, wake] = ['commands', 'messages', 'wake'].map((name) =>
      connectRedis(url, { name, deadlineMs }),
    ) as [ReturnType<typeof connectRedis>, ReturnType<typeof connectRedis>, ReturnType<typeof connectRedis>]
    const consumer = new Consumer({
      queue: openQueue(commands, queue),
      weight: 1,
      entry: {
        process: `process${at}`,
        pod: 'pod',
        podUid: `pod-${at}`,
        poolUid: '',
        node: 'node',
        slots,
        isolation: 'Reuse',
        isolationNote: '',
        version: '0.0.0',
      },
      messages,
      log,
      onChange: () => ring(),
      onDismissed: () => {},
      onBroken: (error) => broken.push(error),
      onRefused: (name) => refused.push(name),
    })
    const waker = new Waker({ redis: wake, queues: [consumer], log, onWake: () => ring() })
    return { consumer, waker, connections: [commands, messages, wake] }
  })
  const consumers = parts.map(({ consumer }) => consumer)
  const wakers = parts.map(({ waker }) => waker)
  const worker = new Worker({ consumers, children, wakers, slots, log, live: new LiveOutput(log) })
  ring = worker.ring
  await Promise.all(consumers.map((consumer) => consumer.join()))
  worker.work()
  return {
    lines,
    consumers,
    refused,
    async stop(drainTimeoutMs = 30_000) {
      await worker.stop(drainTimeoutMs, new Promise(() => {}))
      await children.stop()
      for (const { connections } of parts) for (const connection of connections) connection.close()
      expect(broken).toEqual([])
    },
  }
}
