// The pages about enqueueing, block by block: each program prints what the comments beside its lines say, and the compiler takes all of them.
import { join } from 'node:path'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'
import { PagePrograms, testPrograms } from './page-programs.ts'

describe.each([
  ['enqueueing', { a: '{ a: 1, b: 2 }', wrong: '{ a: 1 }' }],
  ['unique', { a: "connect } from 'millhand/client'", wrong: "connected } from 'millhand/client'" }],
])('the page %s', (name, { a, wrong: mistake }) => {
  const page = new PagePrograms(`${name}.md`)
  let server: RedisServer
  let worker: WorkerProcess

  beforeAll(async () => {
    page.writeFiles()
    server = await RedisServer.start()
    worker = await startWorker({
      redisUrl: server.url,
      namespace: 'default',
      queues: ['sums', 'accounts'],
      modules: [join(page.folder, 'tasks.ts')],
    })
  }, 60_000)
  afterAll(async () => {
    await worker?.stop()
    await server?.remove()
    page.remove()
  }, 30_000)

  testPrograms(page, () => server.url)

  test('has programs that compile, and that are checked', async () => {
    const one = page.programs.find(({ name }) => name === 'one.ts')?.text ?? ''
    page.write('wrong.ts', one.replace(a, mistake))
    await page.compile()
    await expect(page.compile('wrong.ts')).rejects.toMatchObject({
      stdout: expect.stringContaining('wrong.ts'),
    })
  }, 60_000)
})
