// The dashboard as the operator serves it: with each mode, by HTTP and HTTPS.
import { createHash } from 'node:crypto'
import { rmSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { as, folder, MAIL, secret, serving } from './dashboard-served.ts'

const namesIn = async (response: Response) =>
  ((await response.json()) as { queues: { namespace: string; name: string }[] }).queues.map(
    ({ namespace, name }) => `${namespace}/${name}`,
  )

describe('kubernetes', () => {
  const env = { MILLHAND_DASHBOARD_MODE: 'kubernetes' }

  test('a reader sees the queues of the own namespace, and may not write', async () => {
    const { call } = await serving(env)
    expect((await call('/api/v1/queues')).status).toBe(401)
    expect(await namesIn(await call('/api/v1/queues', as('of-anna')))).toEqual([`shop/${MAIL}`])
    expect(await namesIn(await call('/api/v1/queues', as('of-ops')))).toEqual([
      `bank/${MAIL}`,
      `shop/${MAIL}`,
    ])
    const pause = { method: 'POST', body: '{"reason":"a test"}' }
    const json = { 'Content-Type': 'application/json' }
    const refused = await call(`/api/v1/queues/shop/${MAIL}/pause`, { ...as('of-anna'), ...json }, pause)
    expect(refused.status).toBe(403)
    expect(await refused.json()).toMatchObject({
      error: { message: expect.stringContaining('anna may not pause queues in the namespace shop') },
    })
    expect((await call(`/api/v1/queues/bank/${MAIL}`, as('of-anna'))).status).toBe(403)
  })

  test('every write is a line in the log, refused or done', async () => {
    const { call, logged } = await serving(env)
    const json = { 'Content-Type': 'application/json' }
    const write = { method: 'POST', body: '{"reason":"a test"}' }
    for (const token of ['of-anna', 'of-ops']) {
      await call(`/api/v1/queues/shop/${MAIL}/pause`, { ...as(token), ...json }, write)
      await call(`/api/v1/queues/shop/${MAIL}/resume`, { ...as(token), ...json }, { ...write, body: '{}' })
    }
    const lines = logged.filter(({ message }) => message === 'write by the dashboard')
    expect(lines.map(({ user, verb, queue, outcome }) => ({ user, verb, queue, outcome }))).toEqual([
      ...['FORBIDDEN', 'FORBIDDEN'].map((outcome) => ({
        user: 'anna',
        verb: 'pause',
        queue: `shop/${MAIL}`,
        outcome,
      })),
      ...['done', 'done'].map((outcome) => ({ user: 'ops', verb: 'pause', queue: `shop/${MAIL}`, outcome })),
    ])
    expect(lines.at(-2)).toMatchObject({
      mode: 'kubernetes',
      groups: ['people'],
      address: expect.any(String),
    })
  })

  test('a foreign Host is refused with the value of the chart that ends that', async () => {
    const { port } = await serving({ ...env, MILLHAND_DASHBOARD_HOSTS: 'millhand.internal' })
    const { status, text } = await getRaw(port, 'evil.example')
    expect([status, text]).toEqual([403, expect.stringContaining('dashboard.hosts')])
    expect((await getRaw(port, 'millhand.internal')).status).toBe(200)
  })

  test('serves the pages to everybody, with the base path of the public address', async () => {
    const { call } = await serving({ ...env, MILLHAND_DASHBOARD_URL: 'https://example.com/millhand' })
    for (const path of ['/', '/millhand/', '/millhand/jobs']) {
      const page = await call(path)
      expect([page.status, page.headers.get('content-security-policy')]).toEqual([
        200,
        expect.stringContaining("default-src 'none'"),
      ])
      expect(await page.text()).toContain('<base href="/millhand/">')
    }
  })

  test('by HTTPS with a certificate of its own', async () => {
    const { port } = await serving({ ...env, MILLHAND_DASHBOARD_TLS: 'self-signed' })
    const status = await new Promise((answered, failed) =>
      request({ port, path: '/healthz', rejectUnauthorized: false, agent: false }, (response) => {
        response.resume()
        answered(response.statusCode)
      })
        .on('error', failed)
        .end(),
    )
    expect(status).toBe(200)
  })
})

describe('token', () => {
  const env = { MILLHAND_DASHBOARD_MODE: 'token' }
  const hash = createHash('sha256').update('of-ci').digest('hex')

  test('tokens are those of the mounted file', async () => {
    secret('tokens', `ci sha256:${hash} read bank\n`)
    const { call } = await serving(env)
    expect(await namesIn(await call('/api/v1/queues', as('of-ci')))).toEqual([`bank/${MAIL}`])
    expect((await call('/api/v1/queues', as('of-ops'))).status).toBe(401)
  })

  test('without a good file the operator does not start', async () => {
    secret('tokens', 'of-ci\n')
    await expect(serving(env)).rejects.toThrow('the tokens of the dashboard cannot be used')
    rmSync(join(folder, 'tokens'))
    await expect(serving(env)).rejects.toThrow('the tokens of the dashboard cannot be used')
  })
})

describe('proxy', () => {
  const env = { MILLHAND_DASHBOARD_MODE: 'proxy', MILLHAND_DASHBOARD_PROXY_NETWORKS: '127.0.0.1' }

  test('the user is whom the proxy names, and the API server says what he may', async () => {
    secret('proxy-secret', 'a-secret-of-the-proxy\n')
    const { call } = await serving(env)
    const headers = { 'X-Millhand-Proxy-Secret': 'a-secret-of-the-proxy', 'X-Forwarded-User': 'anna' }
    expect(await namesIn(await call('/api/v1/queues', headers))).toEqual([`shop/${MAIL}`])
    expect((await call('/api/v1/queues', { 'X-Forwarded-User': 'anna' })).status).toBe(401)
  })

  test('without a good secret the operator does not start', async () => {
    secret('proxy-secret', 'short')
    await expect(serving(env)).rejects.toThrow('too short')
    rmSync(join(folder, 'proxy-secret'))
    await expect(serving(env)).rejects.toThrow('mount the secret of the proxy')
  })
})

async function getRaw(port: number, host: string): Promise<{ status: number; text: string }> {
  const { request: plain } = await import('node:http')
  return new Promise((answered, failed) => {
    const sent = plain({ port, path: '/', headers: { Host: host } }, async (response) => {
      const text = Buffer.concat(await response.toArray()).toString()
      answered({ status: response.statusCode ?? 0, text })
    })
    sent.on('error', failed).end()
  })
}
