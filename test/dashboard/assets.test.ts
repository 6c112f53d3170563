// The built pages from memory: compressed, for ever where the name has a hash, under any base path.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { get, type IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { assetsIn } from '../../dashboard/src/server/assets.ts'
import { redisUrl } from '../redis.ts'
import { type Served, serve } from './served.ts'

const SCRIPT = 'console.log("hello")\n'.repeat(100)
const folder = mkdtempSync(join(tmpdir(), 'millhand-web-'))
let served: Served
let below: Served

beforeAll(async () => {
  mkdirSync(join(folder, 'assets'))
  writeFileSync(join(folder, 'index.html'), '<!doctype html><base href="/"><div id="app"></div>')
  writeFileSync(join(folder, 'assets/main-1a2b.js'), SCRIPT)
  writeFileSync(join(folder, 'assets/main-1a2b.css'), 'body{}')
  served = await serve({ redisUrl: redisUrl(), queues: [], assets: assetsIn(folder) })
  const basePath = '/tools/millhand'
  below = await serve({ redisUrl: redisUrl(), queues: [], assets: assetsIn(folder, basePath), basePath })
})

afterAll(() => {
  served.stop()
  below.stop()
  rmSync(folder, { recursive: true })
})

interface Got {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

function load(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, method }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
      )
    })
    request.on('error', reject)
  })
}

test.each([
  ['br, gzip', 'br', brotliDecompressSync],
  ['gzip', 'gzip', gunzipSync],
  ['br;q=0, gzip;q=0.5', 'gzip', gunzipSync],
  ['identity', undefined, (body: Buffer) => body],
])('a file for %s', async (accepted, coding, decompressed) => {
  const { status, headers, body } = await load(`${served.url}/assets/main-1a2b.js`, {
    'Accept-Encoding': accepted,
  })
  expect(status).toBe(200)
  expect(headers).toMatchObject({
    'content-type': 'text/javascript; charset=utf-8',
    'cache-control': 'public, max-age=31536000, immutable',
    'content-length': String(body.length),
  })
  expect(headers['content-encoding']).toBe(coding)
  expect(decompressed(body).toString()).toBe(SCRIPT)
})

test('each address of the pages is the page, and never kept', async () => {
  for (const path of ['/', '/jobs?f=1', '/queues/test/mail', '/job/test/mail/a.b']) {
    const { status, headers, body } = await load(served.url + path)
    expect([status, headers['cache-control']]).toEqual([200, 'no-store'])
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(body.toString()).toContain('<base href="/">')
  }
})

test('a file of another build is not the page', async () => {
  const { status, body } = await load(`${served.url}/assets/main-0000.js`)
  expect([status, JSON.parse(body.toString()).error.code]).toEqual([404, 'NOT_FOUND'])
})

test('it works below a base path, whether a proxy takes it away or not', async () => {
  for (const path of ['/', '/tools/millhand', '/tools/millhand/jobs']) {
    const { body } = await load(below.url + path)
    expect(body.toString()).toContain('<base href="/tools/millhand/">')
  }
  const file = await load(`${below.url}/tools/millhand/assets/main-1a2b.css`)
  expect([file.status, file.body.toString()]).toEqual([200, 'body{}'])
  const config = await load(`${below.url}/tools/millhand/api/v1/config`, {
    Authorization: `Bearer ${below.token}`,
  })
  expect(config.status).toBe(200)
})

test.each([
  ['/from/the-proxy', '/from/the-proxy/'],
  ['/"><script>', '/'],
  ['//evil.example', '/'],
  ['https://evil.example', '/'],
  ['/..', '/'],
])('the prefix %s of a proxy', async (prefix, base) => {
  const { body } = await load(`${served.url}/`, { 'X-Forwarded-Prefix': prefix })
  expect(body.toString()).toContain(`<base href="${base}">`)
})

test('only GET and HEAD, and HEAD has no body', async () => {
  const head = await load(`${served.url}/`, {}, 'HEAD')
  expect([head.status, head.body.length]).toEqual([200, 0])
  const put = await load(`${served.url}/`, { 'Content-Type': 'application/json' }, 'PUT')
  expect(put.status).toBe(405)
})
