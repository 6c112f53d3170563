// The pages about workflows, block by block: each program prints what its comments say, with `millhand up` and the
// manifest of the page, and the compiler takes all of them.
import { type Running, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { RedisServer } from '../redis-server.ts'
import { PagePrograms, testPrograms } from './page-programs.ts'

describe.each(['workflows.md', 'workflows-from-celery-and-bullmq.md'])('the page %s', (path) => {
  const page = new PagePrograms(path)
  let server: RedisServer
  let up: Running

  beforeAll(async () => {
    page.writeFiles()
    server = await RedisServer.start()
    const [, manifests = ''] = /```yaml\n([\s\S]*?)```/.exec(page.text) ?? []
    page.write('manifests.yaml', manifests)
    up = startMillhand(['up', '--redis', server.url, '--no-dashboard'], { cwd: page.folder })
    await up.says(/^ready: /m)
  }, 90_000)
  afterAll(async () => {
    await stopAtOnce(up)
    await server?.remove()
    page.remove()
  }, 60_000)

  testPrograms(page, () => server.url)

  test('has programs that compile', () => page.compile(), 120_000)

  if (path !== 'workflows.md') return
  test('has programs whose inputs and results are checked', async () => {
    const order = page.programs.find(({ name }) => name === 'order.ts')?.text ?? ''
    const wrong = [
      ['wrong-input.ts', order.replace("'pay', { order: 42 }", "'pay', { order: 'x' }")],
      ['wrong-result.ts', order.replace('parcel: packed.result', 'parcel: paid.result')],
    ] as const
    for (const [name, text] of wrong) page.write(name, text)
    for (const [name] of wrong)
      await expect(page.compile(name)).rejects.toMatchObject({
        stdout: expect.stringMatching(/not assignable/),
      })
  }, 120_000)
})
