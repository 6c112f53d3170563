// docs/steps.md, block by block, with a worker of its own.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'
import { scene } from '../faults/scene.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/steps.md'), 'utf8')
const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, , text = '']) => text)
const files = blocks.flatMap((text) => {
  const name = /^\/\/ (\S+\.ts)\n/.exec(text)?.[1]
  return name ? [{ name, text }] : []
})

describe('the page about steps', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-steps-'))
  beforeAll(() => {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(root, 'worker-runtime'), join(folder, 'node_modules/millhand'))
    for (const { name, text } of files) writeFileSync(join(folder, name), text)
  })
  afterAll(() => rmSync(folder, { recursive: true }))
  const modules = files.map(({ name }) => join(folder, name))
  const lines = (log: string) => readFileSync(log, 'utf8').trim().split('\n')

  test('has only blocks that this test runs', () => expect(files.length).toBe(blocks.length))

  test(
    'tells how a job goes on',
    scene(async (scene) => {
      await scene.settings({})
      await scene.worker({ modules })
      const log = join(folder, 'order')
      const order = await scene.jobs.enqueue('order', { log })
      expect(await order.result({ timeoutMs: 60_000 })).toEqual(['payment', 'parcel'])
      expect(lines(log)).toEqual(['payment', 'parcel'])
      const rows = join(folder, 'rows')
      const load = await scene.jobs.enqueue('load', { log: rows })
      expect(await load.result({ timeoutMs: 60_000 })).toBe(2)
      expect(lines(rows)).toEqual(['a', 'b', 'c', 'd'])
    }),
    120_000,
  )

  test(
    'tells how a job is handed over',
    scene(async (scene) => {
      const worker = await scene.worker({ modules })
      const job = await scene.jobs.enqueue('write', { pages: 30 })
      await eventually(async () => (await job.details())?.state === 'held', { what: 'it runs' })
      expect((await worker.stop()).code).toBe(0)
      expect(await job.details()).toMatchObject({ state: 'ready', failures: [] })
      await scene.worker({ modules })
      expect(await job.result({ timeoutMs: 60_000 })).toBe(30)
      expect(await job.details()).toMatchObject({ attempts: 1, crashes: 0 })
    }),
    120_000,
  )
})
