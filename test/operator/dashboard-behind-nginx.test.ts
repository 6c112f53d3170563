// A real nginx in front of the dashboard, with its own defaults: it buffers answers, ends connections that are quiet,
// and changes the Host. Snapshots arrive at once, below a path, and writes of the page pass.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { nginx } from '../cluster/tools.ts'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { as, MAIL, serving } from './dashboard-served.ts'

jest.setTimeout(120_000) // the first call fetches nginx

const home = mkdtempSync(join(tmpdir(), 'millhand-nginx-'))
let front: number
let url: string
let proxy: ChildProcess
let backend: Awaited<ReturnType<typeof serving>>

const configuration = (listen: number, port: number) => `
daemon off;
pid ${home}/pid;
error_log ${home}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${home}/body; proxy_temp_path ${home}/proxy; fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi; scgi_temp_path ${home}/scgi;
  server {
    listen 127.0.0.1:${listen};
    location /millhand/ { proxy_pass http://127.0.0.1:${port}; }
    location /stripped/ { proxy_pass http://127.0.0.1:${port}/; proxy_set_header X-Forwarded-Prefix /stripped; }
  }
}`

beforeAll(async () => {
  front = await freePort()
  url = `http://127.0.0.1:${front}`
  backend = await serving({
    MILLHAND_DASHBOARD_MODE: 'kubernetes',
    MILLHAND_DASHBOARD_URL: `${url}/millhand`,
  })
  writeFileSync(join(home, 'nginx.conf'), configuration(front, backend.port))
  proxy = spawn(await nginx(), ['-p', home, '-c', join(home, 'nginx.conf')], { stdio: 'ignore' })
  await eventually(async () => (await fetch(`${url}/millhand/healthz`).catch(() => undefined))?.ok)
}, 120_000)
afterAll(async () => {
  proxy?.kill()
  if (proxy?.exitCode === null) await once(proxy, 'exit')
  backend?.close()
  rmSync(home, { recursive: true, force: true })
})

test('a snapshot of a stream arrives within a second or two, not when a buffer is full', async () => {
  const watching = new AbortController()
  const startedAt = performance.now()
  const response = await fetch(`${url}/millhand/api/v1/stream`, {
    headers: as('of-ops'),
    signal: watching.signal,
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  let said = ''
  for await (const part of response.body ?? []) {
    said += Buffer.from(part).toString()
    if (said.includes('event: snapshot') && said.includes(MAIL)) break
  }
  watching.abort()
  expect(performance.now() - startedAt).toBeLessThan(15_000)
})

test('a person signs in and changes something, though nginx names another Host', async () => {
  const origin = { Origin: url, 'Content-Type': 'application/json' }
  const signed = await fetch(`${url}/millhand/api/v1/session`, {
    method: 'POST',
    headers: origin,
    body: JSON.stringify({ token: 'of-ops' }),
  })
  const cookie = signed.headers.get('set-cookie')?.split(';')[0] ?? ''
  const pause = (headers: Record<string, string>) =>
    fetch(`${url}/millhand/api/v1/queues/shop/${MAIL}/pause`, {
      method: 'POST',
      headers: { Cookie: cookie, 'Content-Type': 'application/json', ...headers },
      body: '{}',
    })
  expect((await pause({ Origin: url })).status).toBe(200)
  expect((await pause({ Origin: 'http://evil.example' })).status).toBe(403)
  expect((await pause({})).status).toBe(403)
})

test('pages know the path below which they are, kept or taken away', async () => {
  for (const path of ['millhand', 'stripped']) {
    const page = await (await fetch(`${url}/${path}/jobs`)).text()
    expect(page).toContain(`<base href="/${path}/">`)
    const script = /src="(assets\/[^"]+\.js)"/.exec(page)?.[1]
    const asset = await fetch(`${url}/${path}/${script}`)
    expect([asset.status, asset.headers.get('content-type')]).toEqual([200, 'text/javascript; charset=utf-8'])
    await asset.body?.cancel()
  }
})
