// Who a user is and what he may, in the modes kubernetes, proxy and token; what is kept and for how long.
import { createHash } from 'node:crypto'
import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Permission, User } from '../../../dashboard/src/server/access/access.ts'
import {
  kubernetesAuthority,
  proxyAuthority,
  tokenAuthority,
} from '../../../dashboard/src/server/access/authorities.ts'
import { KeptAnswers } from '../../../dashboard/src/server/access/kept-answers.ts'
import { localAccess } from '../../../dashboard/src/server/access/local.ts'
import { mayBy, parseTokens, tokensIn } from '../../../dashboard/src/server/access/token-file.ts'
import { createLog, silent } from '../../../worker-runtime/src/log.ts'
import { ANNA, type Serving, serveBehindGate } from './serving.ts'

const JOBS = '/api/v1/jobs/shop'
const LIST: Permission = { resource: 'jobs', verb: 'list' }
const RETRY: Permission = { resource: 'jobs', verb: 'retry' }
const host = 'Host: localhost'
const as = (token: string) => `Authorization: Bearer ${token}`
const get = ({ send }: Serving, ...headers: string[]) => send([`GET ${JOBS} HTTP/1.1`, host, ...headers])
const post = ({ send }: Serving, ...headers: string[]) => send([`POST ${JOBS} HTTP/1.1`, host, ...headers])

/** What an API server would answer, and what it was asked. */
function cluster() {
  const asked: string[] = []
  const state = { isUp: true, mayWrite: false }
  const reviews = {
    async userOf(token: string) {
      asked.push(`token ${token}`)
      if (!state.isUp) throw new Error('connect ECONNREFUSED')
      return token.startsWith('of-anna') ? ANNA : undefined
    },
    async may({ name }: User, { resource, verb }: Permission, namespace: string | undefined) {
      asked.push(`${name} ${verb} ${resource} ${namespace}`)
      if (!state.isUp) throw new Error('connect ECONNREFUSED')
      return namespace === 'shop' && (verb !== 'retry' || state.mayWrite)
    },
  }
  return { asked, state, reviews }
}

describe('kubernetes', () => {
  const serving = async (more = {}) => {
    const world = cluster()
    return {
      ...world,
      ...(await serveBehindGate({ authority: kubernetesAuthority(world.reviews), ...more })),
    }
  }

  test('asks whose token it is and what that user may in the namespace', async () => {
    const scene = await serving()
    expect((await get(scene, as('of-anna'))).body).toBe(JSON.stringify(ANNA))
    const refused = await post(scene, as('of-anna'))
    expect([refused.status, JSON.parse(refused.body).message]).toEqual([
      403,
      'anna may not retry jobs in the namespace shop: it needs the verb retry on jobs of millhand.dev',
    ])
    expect(scene.asked).toEqual(['token of-anna', 'anna list jobs shop', 'anna retry jobs shop'])
    expect((await get(scene, as('of-ben'))).status).toBe(401)
    const elsewhere = ['GET /api/v1/jobs/bank HTTP/1.1', host, as('of-anna')]
    expect((await scene.send(elsewhere)).status).toBe(403)
  })

  test('keeps a yes for a minute, a no for ten seconds, a failure not at all', async () => {
    const scene = await serving()
    const { asked, clock, state } = scene
    await Promise.all([get(scene, as('of-anna')), get(scene, as('of-anna'))])
    clock.nowMs += 59_999
    await get(scene, as('of-anna'))
    expect(asked).toHaveLength(2)
    expect((await post(scene, as('of-anna'))).status).toBe(403)
    state.mayWrite = true
    expect((await post(scene, as('of-anna'))).status).toBe(403)
    clock.nowMs += 10_000
    state.isUp = false
    expect((await post(scene, as('of-anna'))).status).toBe(503)
    state.isUp = true
    expect((await post(scene, as('of-anna'))).status).toBe(200)
  })

  test('a pasted token becomes a cookie that other replicas with the same secret know', async () => {
    const cookieSecret = 's'.repeat(32)
    const [one, other, stranger] = [
      await serving({ cookieSecret }),
      await serving({ cookieSecret }),
      await serving(),
    ]
    const lines = ['POST /api/v1/session HTTP/1.1', host, 'Content-Type: application/json']
    const signed = await one.send(lines, JSON.stringify({ token: 'of-anna' }))
    const cookie = signed.headers['set-cookie'] ?? ''
    expect(cookie).toMatch(/^millhand=[\w-]+; Path=\/; HttpOnly; SameSite=Strict$/)
    expect(Buffer.from(cookie, 'base64url').toString('latin1')).not.toContain('of-anna')
    const sent = `Cookie: ${cookie.split(';')[0]}`
    expect((await get(one, sent)).status).toBe(200)
    expect((await get(other, sent)).status).toBe(200)
    expect((await get(stranger, sent)).status).toBe(401)
    other.clock.nowMs += 12 * 3_600_000 + 1
    expect((await get(other, sent)).status).toBe(401)
  })

  test('a wrong token and one that fits into no cookie get none', async () => {
    const scene = await serving()
    const lines = ['POST /api/v1/session HTTP/1.1', host, 'Content-Type: application/json']
    for (const [token, status] of [
      ['of-ben', 401],
      [`of-anna${'x'.repeat(3_000)}`, 400],
    ] as const) {
      const answer = await scene.send(lines, JSON.stringify({ token }))
      expect([answer.status, answer.headers['set-cookie']]).toEqual([status, undefined])
    }
  })

  test('behind TLS at the public address the cookie is for https only', async () => {
    const hosts = { names: ['m.example.com'], anyAddress: true, remedy: '' }
    const scene = await serving({ publicUrl: new URL('https://m.example.com'), hosts })
    const lines = ['POST /api/v1/session HTTP/1.1', 'Host: m.example.com', 'Content-Type: application/json']
    const signed = await scene.send(lines, JSON.stringify({ token: 'of-anna' }))
    expect(signed.headers['set-cookie']).toMatch(/^__Host-millhand=.*; Secure$/)
  })

  test('an address that sends wrong tokens has to wait; who was known before goes on', async () => {
    const scene = await serving()
    await get(scene, as('of-anna'))
    for (let at = 0; at < 20; at += 1) expect((await get(scene, as(`wrong-${at}`))).status).toBe(401)
    const answer = await get(scene, as('wrong-again'))
    expect([answer.status, answer.headers['retry-after']]).toEqual([429, '60'])
    expect((await get(scene, as('of-anna-too'))).status).toBe(429)
    expect((await get(scene, as('of-anna'))).status).toBe(200)
    expect(scene.asked).not.toContain('token wrong-again')
    scene.clock.nowMs += 60_000
    expect((await get(scene, as('of-anna-too'))).status).toBe(200)
  })

  test('lists only the namespaces in which the user may list', async () => {
    const { gate } = await serving()
    const request = { url: '/', method: 'GET', headers: { authorization: 'Bearer of-anna' } }
    const raw = { ...request, rawHeaders: ['Host', 'localhost'], socket: { remoteAddress: '10.0.0.1' } }
    const admission = await gate.admit(raw as never)
    if (admission.kind !== 'user') throw new Error(admission.kind)
    expect(await admission.session.namespacesOf(LIST, ['bank', 'shop', 'x'])).toEqual(['shop'])
    expect((await admission.session.refusalOf(LIST, undefined))?.message).toContain('in all namespaces')
  })
})

describe('proxy', () => {
  const secret = 'the-secret-of-the-proxy'
  const rules = {
    networks: ['127.0.0.1'],
    secret,
    secretHeader: 'X-Proxy-Secret',
    userHeader: 'X-Forwarded-User',
    groupsHeader: 'X-Forwarded-Groups',
  }
  const serving = (networks = rules.networks) =>
    serveBehindGate({ authority: proxyAuthority({ ...rules, networks }, cluster().reviews) })
  const good = [`X-Proxy-Secret: ${secret}`, 'X-Forwarded-User: anna', 'X-Forwarded-Groups: shop, eu']

  test('takes user and groups from the headers', async () => {
    const answer = await get(await serving(), ...good)
    expect(JSON.parse(answer.body)).toEqual({ name: 'anna', groups: ['shop', 'eu'] })
  })

  test.each<[string, string[]]>([
    ['without the secret', good.slice(1)],
    ['with a wrong secret', ['X-Proxy-Secret: x', ...good.slice(1)]],
    ['with two secrets', [`X-Proxy-Secret: ${secret}`, ...good]],
    ['without a user', [good[0] ?? '', good[2] ?? '']],
    ['with an empty user', [good[0] ?? '', 'X-Forwarded-User:']],
    ['with two users, of which the client sent one', ['X-Forwarded-User: root', ...good]],
    ['as a user of Kubernetes', [good[0] ?? '', 'X-Forwarded-User: system:admin']],
    ['in a group of Kubernetes', [...good.slice(0, 2), 'X-Forwarded-Groups: a,system:masters']],
    ['with a bearer token instead', [as('of-anna')]],
  ])('%s nobody is signed in', async (_, headers) => {
    expect((await get(await serving(), ...headers)).status).toBe(401)
  })

  test('from another address nobody is signed in', async () => {
    expect((await get(await serving(['10.0.0.0/8']), ...good)).status).toBe(401)
  })

  test('another site cannot write with the headers that the proxy adds', async () => {
    const scene = await serving()
    expect((await post(scene, ...good)).status).toBe(403)
    expect((await post(scene, ...good, 'Sec-Fetch-Site: cross-site')).status).toBe(403)
    const own = await post(scene, ...good, 'Sec-Fetch-Site: same-origin')
    expect(JSON.parse(own.body).code).toBe('FORBIDDEN')
  })

  test('the audit line has the address that the proxy wrote, not what the client said', async () => {
    const world = cluster()
    world.state.mayWrite = true
    const scene = await serveBehindGate({ authority: proxyAuthority(rules, world.reviews) })
    const sent = ['Sec-Fetch-Site: same-origin', 'X-Forwarded-For: 1.1.1.1, 203.0.113.9']
    expect((await post(scene, ...good, ...sent)).status).toBe(200)
    expect(scene.logged).toEqual([
      expect.objectContaining({
        message: 'write by the dashboard',
        user: 'anna',
        groups: ['shop', 'eu'],
        mode: 'proxy',
        resource: 'jobs',
        verb: 'retry',
        queue: 'shop/mail',
        reason: 'again',
        outcome: 'done',
        address: '203.0.113.9',
      }),
    ])
  })
})

describe('token', () => {
  const hash = (token: string) => createHash('sha256').update(token).digest('hex')
  const file = (...lines: string[]) => `# tokens\n\n${lines.join('\n')}\n`
  const lines = [`ci sha256:${hash('of-ci')} write shop,eu`, `wall sha256:${hash('of-wall')} read *`]

  test('a reader reads, a writer writes, in the namespaces of the line', async () => {
    const grants = parseTokens(file(...lines))
    const scene = await serveBehindGate({ authority: tokenAuthority(async () => grants) })
    const statuses = [
      await get(scene, as('of-ci')),
      await post(scene, as('of-ci')),
      await get(scene, as('of-wall')),
    ]
    expect(statuses.map(({ status }) => status)).toEqual([200, 200, 200])
    expect((await post(scene, as('of-wall'))).status).toBe(403)
    expect((await get(scene, as(hash('of-ci')))).status).toBe(401)
    const table = [
      ['ci', 'shop', true, true],
      ['ci', 'bank', false, false],
      ['ci', undefined, false, false],
      ['wall', 'bank', true, false],
      ['wall', undefined, true, false],
      ['other', 'shop', false, false],
    ] as const
    for (const [name, namespace, mayRead, mayWrite] of table)
      expect([mayBy(grants, name, LIST, namespace), mayBy(grants, name, RETRY, namespace)]).toEqual([
        mayRead,
        mayWrite,
      ])
  })

  test.each<[string, string]>([
    ['', 'there is no token'],
    ['ci of-ci write shop', 'invalid line 3'],
    [`ci sha256:${hash('x')} admin shop`, 'invalid line 3'],
    [`ci sha256:${hash('x')} write`, 'invalid line 3'],
    [`ci sha256:${hash('x')} write Shop`, 'invalid line 3'],
    [`${lines[0]}\n${lines[0]}`, 'the name ci stands twice'],
  ])('the line %j is refused, and not repeated', (line, said) => {
    const failed = () => parseTokens(file(line))
    expect(failed).toThrow(said)
    expect(failed).not.toThrow('of-ci')
  })

  test('the file is read again when it has changed; a bad one changes nothing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'millhand-tokens-'))
    const path = join(folder, 'tokens')
    const logged: string[] = []
    const log = createLog({ level: 'info', write: (line) => logged.push(line) })
    const write = async (text: string, second: number) => {
      await writeFile(path, text)
      await utimes(path, second, second)
    }
    try {
      await expect(tokensIn(path, silent)).rejects.toThrow('ENOENT')
      await write(file(...lines), 1)
      const grants = await tokensIn(path, log)
      expect(await grants()).toHaveLength(2)
      await write(file(lines[0] ?? ''), 2)
      expect(await grants()).toHaveLength(1)
      await write('bad', 3)
      expect(await grants()).toHaveLength(1)
      expect(logged.join('')).toMatch(
        /read again.*cannot be read; the last ones stay in use.*invalid line 1/s,
      )
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

test('read-only refuses every write and no read', async () => {
  const world = cluster()
  world.state.mayWrite = true
  const scene = await serveBehindGate({ authority: kubernetesAuthority(world.reviews), isReadOnly: true })
  expect((await get(scene, as('of-anna'))).status).toBe(200)
  const refused = await post(scene, as('of-anna'))
  expect([refused.status, JSON.parse(refused.body).code]).toEqual([403, 'READ_ONLY'])
})

test('each start of `up` has a token of its own, of 256 bits', () => {
  const options = { log: silent, nowMs: () => 0, wallMs: () => 0 }
  const tokens = [1, 2].map(() => localAccess(options).token)
  expect(new Set(tokens).size).toBe(2)
  for (const token of tokens) expect(Buffer.from(token, 'base64url')).toHaveLength(32)
})

describe('kept answers', () => {
  const answers = () => new KeptAnswers<string>({ nowMs: () => 0, forMs: () => 1_000 })

  test('are at most 1,024, the oldest forgotten', async () => {
    const kept = answers()
    for (let at = 0; at <= 1_024; at += 1) await kept.get(`${at}`, async () => `${at}`)
    expect([kept.known('0'), kept.known('1'), kept.known('1024')]).toEqual([undefined, '1', '1024'])
  })

  test('are asked sixteen at a time, and no more than 256 wait', async () => {
    const kept = answers()
    let asking = 0
    let most = 0
    const go = Promise.withResolvers<void>()
    const ask = async () => {
      asking += 1
      most = Math.max(most, asking)
      await go.promise
      asking -= 1
      return 'x'
    }
    const asked = Array.from({ length: 300 }, (_, at) => kept.get(`${at}`, ask).catch(({ name }) => name))
    go.resolve()
    const found = await Promise.all(asked)
    expect([most, found.filter((name) => name === 'Busy').length]).toEqual([16, 300 - 16 - 256])
    expect(await kept.get('later', ask)).toBe('x')
  })
})
