import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { stopRequests } from '../../worker-runtime/src/stop-requests.ts'
import { eventually } from '../eventually.ts'

test('signals that come together are one request, whatever their names; a later one is the next', async () => {
  const heard: [number, string][] = []
  const listener = stopRequests((times, signal: string) => heard.push([times, signal]))
  for (const signal of ['SIGINT', 'SIGINT', 'SIGTERM', 'SIGHUP']) listener(signal)
  expect(heard).toEqual([[1, 'SIGINT']])
  await eventually(() => {
    listener('SIGTERM')
    return heard.length === 2
  })
  expect(heard[1]).toEqual([2, 'SIGTERM'])
})

test('a signal that came at once is no second request when the process was held up before it could read it', async () => {
  const file = fileURLToPath(new URL('../../worker-runtime/src/stop-requests.ts', import.meta.url))
  const script = `import { stopRequests } from ${JSON.stringify(file)}
    process.on('SIGINT', stopRequests((times) => {
      console.log(times)
      if (times === 1) setImmediate(() => {
        process.kill(process.pid, 'SIGINT')
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500)
        setTimeout(() => console.log('read'), 100)
      })
      else process.exit()
    }))
    setInterval(() => {}, 1_000)
    console.log('listening')`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script])
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  await eventually(() => said.includes('listening'))
  child.kill('SIGINT')
  await eventually(() => said.includes('read'))
  expect(said).toBe('listening\n1\nread\n')
  const ended = once(child, 'exit')
  const again = setInterval(() => child.kill('SIGINT'), 300)
  await ended
  clearInterval(again)
  expect(said).toBe('listening\n1\nread\n2\n')
})
