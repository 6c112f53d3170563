import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startDeadline } from '../../worker-runtime/src/deadline.ts'

function blockLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('an answer that came while the loop was blocked is read before the deadline is over', async () => {
  const events: string[] = []
  const echo = spawn('cat')
  const over = new Promise<void>((resolve) => {
    startDeadline(300, () => {
      events.push('over')
      resolve()
    })
  })
  // An answer of several reads, as a large result is: the pipe holds only its beginning.
  let bytes = 0
  echo.stdout.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes === 1_000_000) events.push('read')
  })
  echo.stdin.end(Buffer.alloc(1_000_000))
  blockLoop(1_000)
  await over
  expect(events).toEqual(['read', 'over'])
  if (echo.exitCode === null) await once(echo, 'exit')
})

test('a deadline that is called off is never over', async () => {
  const events: string[] = []
  const callOff = startDeadline(1, () => events.push('over'))
  setTimeout(callOff, 0)
  blockLoop(5)
  await new Promise<void>((resolve) => startDeadline(50, resolve))
  expect(events).toEqual([])
})

test('a deadline of several seconds is not over sooner, and is over even where the loop is blocked again and again', async () => {
  const startedAtMs = performance.now()
  const busy = setInterval(() => blockLoop(230), 240)
  await new Promise<void>((resolve) => startDeadline(2_500, resolve))
  clearInterval(busy)
  expect(performance.now() - startedAtMs).toBeGreaterThan(2_490)
})
