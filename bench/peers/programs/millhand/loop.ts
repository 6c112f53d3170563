// The claim-settle loop alone, as worker.ts runs it on the queue, one exchange at a time, with the task
// called in this process where a worker would hand it to a child. Heartbeat as in a worker. Arguments: the
// Redis URL, slots.
import { connectRedis, openQueue, queueName, RENEW_MS, type Settlement } from 'millhand/queue'
import { endWithStdin, perform, recordSoon } from '../node/recording.ts'

const [, , url = '', slots = '100'] = process.argv
const queue = openQueue(connectRedis(url), queueName('default', 'bench'))
const worker = `bench${process.pid}:1`
const entry = {
  process: worker,
  pod: 'bench',
  podUid: worker,
  poolUid: '',
  node: '',
  isolation: '',
  isolationNote: '',
}
await queue.register({ ...entry, worker, slots: Number(slots), version: 'bench' })
await queue.resync(worker, 1)
setInterval(() => void queue.renew(worker), RENEW_MS)

let isStopping = false
process.on('SIGTERM', () => {
  isStopping = true
})
endWithStdin()
console.log('{"ready":true}')

let ended: Settlement[] = []
while (!isStopping) {
  const { claims } = await queue.settleAndClaim({
    worker,
    sequence: 1,
    settlements: ended,
    wanted: Number(slots),
  })
  if (claims.length === 0 && ended.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  ended = []
  for (const { id, token, attempt, envelope } of claims) {
    const end = envelope.indexOf('\n')
    const [, , enqueuedAtMs, task] = envelope.slice(0, end).split(' ')
    const startedAtMs = performance.now()
    const { n } = JSON.parse(envelope.slice(end + 1))
    recordSoon(n)
    await perform(n, attempt)
    const durationMs = Math.round(performance.now() - startedAtMs).toString(16)
    ended.push({ id, token, verdict: 'completed', text: `${enqueuedAtMs} ${task} ${durationMs}\nnull` })
  }
}
process.exit(0)
