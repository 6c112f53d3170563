// Which requests are let in, by what they say of themselves: Host, origin, content type, token. By raw sockets.
import { type Serving, serveBehindGate, TOKEN } from './serving.ts'

const JOBS = '/api/v1/jobs/shop'
const bearer = `Authorization: Bearer ${TOKEN}`
const json = 'Content-Type: application/json'

describe('Host', () => {
  const statusOf = async ({ send }: Serving, host: string, method = 'GET') =>
    (await send([`${method} ${JOBS} HTTP/1.1`, ...(host && [host]), bearer])).status

  test.each([
    'localhost',
    'localhost:1',
    'LOCALHOST.:80',
    'millhand.localhost:8080',
    '127.0.0.1',
    '127.9.9.9:8080',
    '[::1]:80',
    '[::1]',
  ])('%s is this machine', async (host) => {
    const serving = await serveBehindGate()
    expect(await statusOf(serving, `Host: ${host}`)).toBe(200)
  })

  const foreign = [
    'evil.example',
    'localhost.evil.example',
    'localhost@evil.example',
    'evil.example:localhost',
    '127.0.0.1.evil.example',
    '127.0.0.1@evil.example',
    'notlocalhost',
    '10.0.0.1',
    '[::2]',
    '0.0.0.0',
    '2130706433',
    '0x7f.1',
    '127.1',
    '[::ffff:127.0.0.1',
    'localhost:80:80',
    'localhost/',
    '',
  ]
  test.each(foreign)('%j is not, whatever the method', async (host) => {
    const serving = await serveBehindGate()
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE'])
      expect([method, await statusOf(serving, `Host: ${host}`, method)]).toEqual([method, 403])
  })

  test('must be there, once, before a path', async () => {
    const { send } = await serveBehindGate()
    const statuses = [
      await send([`GET ${JOBS} HTTP/1.1`, bearer]),
      await send([`GET ${JOBS} HTTP/1.0`, bearer]),
      await send([`GET ${JOBS} HTTP/1.1`, 'Host: localhost', 'Host: evil.example', bearer]),
      await send(['GET http://localhost/api/v1/jobs/shop HTTP/1.1', 'Host: localhost', bearer]),
      await send(['OPTIONS * HTTP/1.1', 'Host: localhost', bearer]),
    ].map(({ status }) => status)
    expect(statuses).toEqual([400, 400, 400, 400, 400])
  })

  test('is asked about files and sign-ins too, and says the remedy', async () => {
    const { send } = await serveBehindGate()
    const page = await send(['GET / HTTP/1.1', 'Host: evil.example'])
    expect([page.status, page.body]).toEqual([403, expect.stringContaining('open localhost')])
    expect((await send([`GET /?token=${TOKEN} HTTP/1.1`, 'Host: evil.example'])).status).toBe(403)
    const body = JSON.stringify({ token: TOKEN })
    const signIn = ['POST /api/v1/session HTTP/1.1', 'Host: evil.example', json]
    expect((await send(signIn, body)).status).toBe(403)
  })

  test('what a client says in X-Forwarded-Host counts nothing', async () => {
    const { send } = await serveBehindGate()
    const lines = [`GET ${JOBS} HTTP/1.1`, 'Host: evil.example', 'X-Forwarded-Host: localhost', bearer]
    expect((await send(lines)).status).toBe(403)
  })

  test('in a cluster: its names, and every address, which no foreign name can be', async () => {
    const names = ['millhand.shop.svc', '*.example.com']
    const hosts = { names, anyAddress: true, remedy: 'add it to dashboard.hosts' }
    const serving = await serveBehindGate({ hosts })
    const good = ['millhand.shop.svc:8081', 'a.example.com', 'A.B.example.com', '10.0.0.1:6443', '[fd00::1]']
    for (const host of good) expect([host, await statusOf(serving, `Host: ${host}`)]).toEqual([host, 200])
    for (const host of ['shop.svc', 'example.com', 'evilexample.com', 'a.example.com.evil'])
      expect([host, await statusOf(serving, `Host: ${host}`)]).toEqual([host, 403])
  })
})

describe('a write', () => {
  /** A cookie that browsers send by themselves; a bearer token they do not. */
  async function statusOf(headers: string[], how: 'cookie' | 'bearer', method = 'POST', publicUrl?: URL) {
    const { send } = await serveBehindGate({ publicUrl })
    const signed = await send([`GET /?token=${TOKEN} HTTP/1.1`, 'Host: localhost:8080'])
    const cookie = `Cookie: ${signed.headers['set-cookie']?.split(';')[0]}`
    const credentials = how === 'cookie' ? cookie : bearer
    return (await send([`${method} ${JOBS} HTTP/1.1`, 'Host: localhost:8080', credentials, ...headers]))
      .status
  }

  const rows: [what: string, headers: string[], cookie: number, bearer: number][] = [
    ['from the page itself', ['Sec-Fetch-Site: same-origin', 'Origin: http://localhost:8080'], 200, 200],
    ['that a person typed', ['Sec-Fetch-Site: none'], 200, 200],
    ['of another site', ['Sec-Fetch-Site: cross-site', 'Origin: https://evil.example'], 403, 403],
    [
      'of another site that names ours',
      ['Sec-Fetch-Site: cross-site', 'Origin: http://localhost:8080'],
      403,
      403,
    ],
    ['of a sibling', ['Sec-Fetch-Site: same-site'], 403, 403],
    ['with an unknown relation', ['Sec-Fetch-Site: SAME-ORIGIN'], 403, 403],
    ['by an old browser, of the page', ['Origin: http://localhost:8080'], 200, 200],
    ['by an old browser, of another port', ['Origin: http://localhost'], 403, 403],
    ['by an old browser, of another site', ['Origin: https://evil.example'], 403, 403],
    ['of a sandboxed page', ['Origin: null'], 403, 403],
    ['of a site whose name begins with ours', ['Origin: http://localhost.evil.example'], 403, 403],
    ['of a user part', ['Origin: http://localhost@evil.example'], 403, 403],
    ['of no browser', [], 403, 200],
  ]
  test.each(rows)('%s', async (_, headers, byCookie, byBearer) => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      expect([method, await statusOf(headers, 'cookie', method)]).toEqual([method, byCookie])
      expect([method, await statusOf(headers, 'bearer', method)]).toEqual([method, byBearer])
    }
  })

  test('from the public address, where a proxy changes the Host', async () => {
    const publicUrl = new URL('https://millhand.example.com/x')
    const origin = ['Origin: https://millhand.example.com']
    expect(await statusOf(origin, 'bearer', 'POST', publicUrl)).toBe(200)
    expect(await statusOf(['Origin: http://millhand.example.com'], 'bearer', 'POST', publicUrl)).toBe(403)
    expect(await statusOf(origin, 'bearer')).toBe(403)
  })

  test.each<[string[], string | undefined, number]>([
    [[json], '{}', 200],
    [['Content-Type: application/json; charset=utf-8'], '{}', 200],
    [[], undefined, 200],
    [[], '{}', 415],
    [['Content-Type: text/plain'], '{}', 415],
    [['Content-Type: application/x-www-form-urlencoded'], 'a=b', 415],
    [['Content-Type: multipart/form-data'], '{}', 415],
    [['Content-Type: application/jsonp'], '{}', 415],
    [['Content-Type: text/plain; application/json'], '{}', 415],
    [['Content-Type: text/plain'], undefined, 415],
  ])('of %j with the body %j is answered with %d', async (headers, body, status) => {
    const { send } = await serveBehindGate()
    const lines = [`POST ${JOBS} HTTP/1.1`, 'Host: localhost', bearer, ...headers]
    expect((await send(lines, body)).status).toBe(status)
  })
})

describe('the token', () => {
  test('of the printed address becomes a cookie, which is for this server and this browser only', async () => {
    const { send, port } = await serveBehindGate()
    const moved = await send([`GET /?token=${TOKEN} HTTP/1.1`, 'Host: localhost'])
    expect([moved.status, moved.headers.location]).toEqual([303, './'])
    const cookie = moved.headers['set-cookie'] ?? ''
    expect(cookie).toMatch(new RegExp(`^millhand-${port}=[\\w-]+; Path=/; HttpOnly; SameSite=Strict$`))
    expect(cookie).not.toContain(TOKEN)
    const lines = [`GET ${JOBS} HTTP/1.1`, 'Host: localhost', `Cookie: a=b; ${cookie.split(';')[0]}`]
    expect((await send(lines)).status).toBe(200)
    const other = await serveBehindGate()
    const there = lines.map((line) => line.replace(`-${port}=`, `-${other.port}=`))
    expect((await other.send(there)).status).toBe(401)
  })

  test.each([
    ['GET /?token=wrong', 200],
    [`GET ${JOBS}?token=${TOKEN}`, 401],
    [`GET //evil.example/?token=${TOKEN}`, 401],
    [`POST ${JOBS}?token=${TOKEN}`, 401],
    [`GET ${JOBS}?access_token=${TOKEN}`, 401],
  ])('%s signs nobody in', async (request, status) => {
    const { send } = await serveBehindGate()
    const answer = await send([`${request} HTTP/1.1`, 'Host: localhost'])
    expect([answer.status, answer.headers['set-cookie']]).toEqual([status, undefined])
  })

  test.each(['Bearer wrong', `Basic ${TOKEN}`, `Bearer ${TOKEN} x`, 'Bearer', `Token ${TOKEN}`])(
    'Authorization: %s is of nobody, who is told what to do',
    async (header) => {
      const { send } = await serveBehindGate()
      const answer = await send([`GET ${JOBS} HTTP/1.1`, 'Host: localhost', `Authorization: ${header}`])
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer')
      expect(JSON.parse(answer.body).message).toContain('millhand up')
    },
  )
})

test('every answer says what the browser may not do', async () => {
  const { send } = await serveBehindGate()
  const answers = [
    await send(['GET / HTTP/1.1', 'Host: localhost']),
    await send(['GET / HTTP/1.1', 'Host: evil.example']),
    await send([`GET ${JOBS} HTTP/1.1`, 'Host: localhost']),
    await send([`GET ${JOBS} HTTP/1.1`, 'Host: localhost', bearer]),
  ]
  for (const { headers } of answers) {
    expect(headers).toMatchObject({
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'",
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
    })
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  }
  expect(answers.map(({ headers }) => headers['cache-control'])).toEqual([
    undefined,
    undefined,
    'no-store',
    'no-store',
  ])
})
