// Queues of a scene whose jobs leave a history that outlives their pods: each task tells the scene's Redis when it starts and ends, and the
// same checker judges that as the files of the tests without a cluster (test/history.ts).
import { type Connection, newJob, openQueue, type Queue, RedisUnavailable } from 'millhand/queue'
import { type Expectations, History, judge } from '../../history.ts'

// A child knows no Redis of Millhand's, but the kubelet names the Services of its namespace to it. What Redis has not got did not happen:
// a task goes on only with the receipt. It does not listen when it is told to end, so that one which is cut short shows.
const TASKS = `import { createConnection } from 'node:net'
import { task } from 'millhand'
const { REDIS_SERVICE_HOST: host, REDIS_SERVICE_PORT: port, POD_UID: podUid } = process.env
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
async function note(what, { history }, { id, attempt }) {
  const line = JSON.stringify({ what, job: id, attempt, pid: process.pid, podUid, atMs: Date.now() })
  while (!(await isPushed(history, line))) await wait(100)
}
function isPushed(key, line) {
  const words = ['RPUSH', key, line].map((word) => '$' + Buffer.byteLength(word) + '\\r\\n' + word + '\\r\\n')
  const socket = createConnection({ host, port, timeout: 2_000 })
  return new Promise((resolve) => {
    for (const event of ['error', 'timeout', 'close']) socket.once(event, () => resolve(false))
    socket.once('data', (answer) => resolve(String(answer).startsWith(':')))
    socket.write('*3\\r\\n' + words.join(''))
  }).finally(() => socket.destroy())
}
task('naps', async (input, job) => {
  await note('started', input, job)
  await wait(input.ms)
  await note('ended', input, job)
})
task('fails-once', async (input, job) => {
  await note('started', input, job)
  if (job.attempt === 1) throw new Error('the first attempt fails')
  await note('ended', input, job)
})
`

/** In place of the scene's own tasks; before there are pods. */
export const recordedTasks = () => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'tasks' },
  data: { 'tasks.js': TASKS },
})

/** The pod that a task runs in, for its history. */
export const POD_UID_VARIABLE = {
  name: 'POD_UID',
  valueFrom: { fieldRef: { fieldPath: 'metadata.uid' } },
}

export interface RecordedQueue {
  name: string
  queue: Queue
  /** Complete once `readHistory` was called. */
  history: History
  /** Resolves when Redis has confirmed, however often it has to be asked. */
  enqueue(task: string, inputs: readonly object[]): Promise<void>
  isQuiet(): Promise<boolean>
  readHistory(): Promise<void>
  judge(expectations: Expectations): Promise<string[]>
}

export function recordedQueue(redis: Connection, namespace: string, name: string): RecordedQueue {
  const queue = openQueue(redis, `${namespace}.${name}`)
  const history = new History()
  const list = `history:${name}`
  return {
    name,
    queue,
    history,
    enqueue: async (task, inputs) => {
      const jobs = inputs.map((input) => newJob(task, { ...input, history: list }))
      // With the same ids: those that are there already stay the only ones.
      while (!(await isAcknowledged(queue.enqueue(jobs)))) await new Promise((go) => setTimeout(go, 100))
      for (const { id } of jobs) history.add({ what: 'acknowledged', job: id })
    },
    isQuiet: async () => {
      const { ready, delayed, busy } = await queue.depth()
      return ready + delayed + busy === 0
    },
    readHistory: async () => {
      history.addRecorded((await redis.call('LRANGE', list, 0, -1)) as string[])
    },
    judge: async (expectations) =>
      (await judge(redis, queue.name, history, expectations)).map((problem) => `${name}: ${problem}`),
  }
}

function isAcknowledged(enqueuing: Promise<unknown>): Promise<boolean> {
  return enqueuing.then(
    () => true,
    (error) => {
      if (error instanceof RedisUnavailable) return false
      throw error
    },
  )
}
