// `millhand up` serves the dashboard on this machine only, and prints its address.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Snapshot } from '../../dashboard/src/api.ts'
import { eventually } from '../eventually.ts'
import { PATIENCE_MS, type Running, startMillhand, stopAtOnce, TINY_TASKS } from './millhand.ts'

const MANIFEST = `
apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: tiny }
---
apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata: { name: tiny }
spec:
  queues: [{ name: tiny }]
  template: { spec: { containers: [{ name: worker, image: none, args: [${TINY_TASKS}] }] } }
`
const folder = mkdtempSync(join(tmpdir(), 'millhand-cli-dashboard-'))
writeFileSync(join(folder, 'tiny.yaml'), MANIFEST)
const started: Running[] = []

afterEach(async () => {
  for (const running of started.splice(0)) await stopAtOnce(running)
}, PATIENCE_MS)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function up(...args: string[]): Running {
  const running = startMillhand(['up', ...args], { cwd: folder })
  started.push(running)
  return running
}

test(
  'the printed address signs in; a job that is enqueued there runs, and the write is told',
  async () => {
    const running = up()
    await running.says(/^Dashboard: {2}http:/m)
    const address = /http:\/\/127\.0\.0\.1:\d+\/\?token=\S+/.exec(running.stdout())?.[0] ?? ''
    const signedIn = await fetch(address, { redirect: 'manual' })
    expect([signedIn.status, signedIn.headers.get('location')]).toEqual([303, './'])
    const Cookie = signedIn.headers.get('set-cookie')?.split(';')[0] ?? ''
    const base = new URL('./', address).href
    const page = await fetch(base, { headers: { Cookie } })
    expect(await page.text()).toContain('<base href="/">')

    const write = { Cookie, 'Content-Type': 'application/json', 'Sec-Fetch-Site': 'same-origin' }
    const path = `${base}api/v1/queues/default/tiny`
    const body = JSON.stringify({ task: 'succeeds', input: 7, id: 'from-the-page' })
    const enqueued = await fetch(`${path}/jobs`, { method: 'POST', headers: write, body })
    expect(await enqueued.json()).toEqual({ id: 'from-the-page', enqueued: 'created' })
    const result = await fetch(`${path}/jobs/from-the-page/result?waitMs=30000`, { headers: { Cookie } })
    expect(await result.json()).toMatchObject({ state: 'completed' })
    await running.says(/dashboard +create jobs of default\/tiny: from-the-page: done/)

    const snapshot = (await (
      await fetch(`${base}api/v1/snapshot`, { headers: { Cookie } })
    ).json()) as Snapshot
    expect(snapshot.queues).toMatchObject([{ name: 'tiny', conditions: expect.any(Array), pools: ['tiny'] }])
    expect(snapshot.pools).toMatchObject([{ name: 'tiny', status: { desiredReplicas: expect.any(Number) } }])
    expect((await fetch(`${base}api/v1/snapshot`)).status).toBe(401)
    const foreign = await fetch(`${base}api/v1/config`, {
      headers: { Cookie, 'Sec-Fetch-Site': 'cross-site' },
    })
    expect(foreign.status).toBe(200)
    running.process.kill('SIGINT')
    expect((await running.ended).code).toBe(0)
    await eventually(() =>
      fetch(base).then(
        () => false,
        () => true,
      ),
    )
  },
  PATIENCE_MS,
)

test(
  'a port can be chosen; one that is taken is an error with the remedy',
  async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const refused = await up('--dashboard-port', String(port)).ended
    expect(refused.code).toBe(1)
    expect(refused.stderr).toContain(
      `cannot listen on 127.0.0.1:${port} (EADDRINUSE); give another --dashboard-port`,
    )
    await new Promise((resolve) => server.close(resolve))
    const running = up('--dashboard-port', String(port))
    await running.says(new RegExp(`^Dashboard: {2}http://127.0.0.1:${port}/`, 'm'))
    const wrong = await up('--dashboard-port', '99999').ended
    expect(wrong.stderr).toContain("argument '99999' is invalid. It is a port from 0 to 65535.")
  },
  PATIENCE_MS,
)

test(
  'there is none where nobody wants it',
  async () => {
    const running = up('--no-dashboard', '--json')
    await running.says(/"kind":"ready"/)
    expect(running.stdout()).not.toContain('dashboardUrl')
  },
  PATIENCE_MS,
)
