// The dashboard of the chart on a real Kubernetes: tokens and RBAC of the cluster, both replicas, and the ways to it that every
// cluster has, `kubectl port-forward` and the API server's own proxy.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { projectImages } from '../cluster/images.ts'
import { run } from '../cluster/run.ts'
import { type SharedCluster, sharedCluster } from '../cluster/shared.ts'
import { onCluster } from '../cluster/suites.ts'
import { helm4 } from '../cluster/tools.ts'
import { eventually } from '../eventually.ts'
import { chart, type Values } from './chart.ts'

const MINUTE_MS = 60_000
jest.setTimeout(3 * MINUTE_MS) // several calls of kubectl, on a machine that may be busy

onCluster('the dashboard', () => {
  let cluster: SharedCluster
  let home: string
  /** The release is called as its namespace. */
  let release: string
  let shop: string
  let bank: string
  let reader: string
  let writer: string
  const started: ChildProcess[] = []

  const create = (...what: string[]) => cluster.kubectl(['create', ...what])
  const tokenOf = async (account: string) => (await create('token', account, '-n', shop)).trim()

  beforeAll(async () => {
    const program = await helm4()
    cluster = await sharedCluster()
    const images = await projectImages(cluster, ['operator', 'redis'])
    home = mkdtempSync(join(tmpdir(), 'millhand-helm-'))
    release = await cluster.newNamespace('millhand-board')
    shop = await cluster.newNamespace('board-shop')
    bank = await cluster.newNamespace('board-bank')
    const values = valuesFor(images, [release, shop, bank])
    const where = ['--kubeconfig', cluster.kubeconfig, '--namespace', release]
    const folders = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home }
    await run([program, 'install', release, chart, ...where, '--values', '-', '--wait', '--timeout', '5m'], {
      env: { ...process.env, ...folders },
      stdin: JSON.stringify(values),
    })
    await declare()
  }, 60 * MINUTE_MS)
  afterAll(async () => {
    for (const child of started) {
      child.kill()
      if (child.exitCode === null) await once(child, 'exit')
    }
    for (const namespace of [release, shop, bank]) await cluster?.deleteNamespace(namespace)
    rmSync(home, { recursive: true, force: true })
  }, MINUTE_MS)

  /** A queue in two namespaces; in one of them an account that reads and one that writes. */
  async function declare(): Promise<void> {
    for (const namespace of [shop, bank]) {
      const queue = {
        apiVersion: 'millhand.dev/v1beta1',
        kind: 'TaskQueue',
        metadata: { name: 'mail', namespace },
      }
      await cluster.kubectl(['apply', '--server-side', '-f', '-'], { stdin: JSON.stringify(queue) })
      await cluster.kubectl(['wait', '--for=condition=Ready', 'tq/mail', '-n', namespace, '--timeout=90s'])
    }
    for (const [account, role] of Object.entries({ reader: 'view', writer: 'edit' })) {
      await create('serviceaccount', account, '-n', shop)
      const subject = `--serviceaccount=${shop}:${account}`
      await create('rolebinding', account, `--clusterrole=${role}`, subject, '-n', shop)
    }
    ;[reader, writer] = [await tokenOf('reader'), await tokenOf('writer')]
  }

  /** A kubectl that goes on; resolves with the port that it says. */
  async function forwarding(args: string[], port: RegExp): Promise<string> {
    const child = spawn(cluster.kubectlProgram, ['--kubeconfig', cluster.kubeconfig, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    started.push(child)
    let said = ''
    for (const output of [child.stdout, child.stderr])
      output.on('data', (part) => {
        said += part
      })
    const found = await eventually(
      () => {
        if (child.exitCode !== null) throw new Error(`kubectl ${args[0]} ended: ${said}`)
        return port.exec(said)?.[1] ?? false
      },
      { withinMs: MINUTE_MS },
    )
    return `http://127.0.0.1:${found}`
  }

  const toPod = (pod: string) =>
    forwarding(['port-forward', pod, ':8081', '-n', release], /127\.0\.0\.1:(\d+) ->/)

  async function call(url: string, path: string, headers: Record<string, string>, body?: object) {
    const response = await fetch(`${url}/api/v1/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { ...headers, ...(body && { 'Content-Type': 'application/json' }) },
      ...(body && { body: JSON.stringify(body) }),
    })
    return { status: response.status, headers: response.headers, said: await response.json() }
  }
  const bearer = (token: string) => ({ Authorization: `Bearer ${token}` })
  const names = ({ said }: { said: unknown }) =>
    (said as { queues: { namespace: string; name: string }[] }).queues.map(
      ({ namespace, name }) => `${namespace}/${name}`,
    )

  test('both replicas, by port-forward: who may look sees the own namespace, and may not write', async () => {
    const pods = await cluster.kubectl([
      'get',
      'pods',
      '-n',
      release,
      '-l',
      'app.kubernetes.io/component=operator',
      '-o',
      'name',
    ])
    const urls = await Promise.all(pods.trim().split('\n').map(toPod))
    expect(urls).toHaveLength(2)
    for (const url of urls) {
      // The controller that adds the rules to view and edit may need a moment.
      await eventually(async () => (await call(url, 'queues', bearer(reader))).status === 200, {
        withinMs: MINUTE_MS,
      })
      expect(names(await call(url, 'queues', bearer(reader)))).toEqual([`${shop}/mail`])
      const refused = await call(url, `queues/${shop}/mail/pause`, bearer(reader), {})
      expect(refused).toMatchObject({
        status: 403,
        said: {
          error: { message: expect.stringContaining(`system:serviceaccount:${shop}:reader may not pause`) },
        },
      })
      expect((await call(url, `queues/${bank}/mail`, bearer(reader))).status).toBe(403)
      expect((await call(url, 'queues', {})).status).toBe(401)
      expect((await call(url, 'queues', bearer('unknown'))).status).toBe(401)
    }

    // A cookie of one replica is one of the other, and what one wrote the other shows.
    const [one = '', other = ''] = urls
    const origin = (url: string) => ({ Origin: url })
    const signed = await call(one, 'session', origin(one), { token: writer })
    const cookie = { Cookie: signed.headers.get('set-cookie')?.split(';')[0] ?? '' }
    const paused = await call(other, `queues/${shop}/mail/pause`, { ...cookie, ...origin(other) }, {})
    expect(paused.status).toBe(200)
    for (const url of urls)
      await eventually(async () =>
        JSON.stringify((await call(url, `queues/${shop}/mail`, cookie)).said).includes('"isPaused":true'),
      )
    const log = await cluster.kubectl(['logs', '-n', release, '-l', 'app.kubernetes.io/component=operator'])
    expect(log).toMatch(/"write by the dashboard".*:writer".*"verb":"pause".*"outcome":"done"/)
  })

  test('by the API server’s own proxy: pages below its path, a pasted token, writes of the page', async () => {
    const proxy = await forwarding(['proxy', '--port=0'], /127\.0\.0\.1:(\d+)/)
    const url = `${proxy}/api/v1/namespaces/${release}/services/${release}-dashboard:http/proxy`
    const page = await (await fetch(`${url}/`, { headers: { Accept: 'text/html' } })).text()
    expect(page).toContain(`<base href="${new URL(url).pathname}/">`)
    // As a browser sends it: the page and the API have one origin, whatever the API server calls the Host.
    const browser = { 'Sec-Fetch-Site': 'same-origin', Origin: proxy }
    const signed = await call(url, 'session', browser, { token: writer })
    const cookie = { Cookie: signed.headers.get('set-cookie')?.split(';')[0] ?? '' }
    expect(names(await call(url, 'queues', cookie))).toEqual([`${shop}/mail`])
    const resumed = await call(url, `queues/${shop}/mail/resume`, { ...cookie, ...browser }, {})
    expect(resumed.status).toBe(200)
    const foreign = { ...cookie, 'Sec-Fetch-Site': 'cross-site' }
    expect((await call(url, `queues/${shop}/mail/pause`, foreign, {})).status).toBe(403)
  })

  test('a stream arrives by the API server’s proxy', async () => {
    const proxy = await forwarding(['proxy', '--port=0'], /127\.0\.0\.1:(\d+)/)
    const url = `${proxy}/api/v1/namespaces/${release}/services/${release}-dashboard:http/proxy`
    const signed = await call(url, 'session', { Origin: proxy, 'Sec-Fetch-Site': 'none' }, { token: reader })
    const cookie = { Cookie: signed.headers.get('set-cookie')?.split(';')[0] ?? '' }
    const watching = new AbortController()
    const response = await fetch(`${url}/api/v1/stream`, { headers: cookie, signal: watching.signal })
    let said = ''
    for await (const part of response.body ?? []) {
      said += Buffer.from(part).toString()
      if (said.includes('event: snapshot') && said.includes('mail')) break
    }
    watching.abort()
    expect(said).not.toContain(bank)
  })
})

function valuesFor(images: Record<'operator' | 'redis', string>, namespaces: string[]): Values {
  const image = (name: string) => {
    const [repository, tag] = name.split(/:(?=[^:]*$)/)
    return { repository, tag }
  }
  return {
    image: image(images.operator),
    crds: { install: false },
    watch: { namespaces },
    dashboard: { enabled: true },
    redis: { embedded: { enabled: true, image: image(images.redis), secretNamespaces: namespaces.slice(1) } },
  }
}
