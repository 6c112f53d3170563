// The chart on a real Kubernetes, under restricted pod security, by Helm 3 and Helm 4: what it renders is accepted, the operator comes
// up and reconciles with the rights it has, and what users declared outlives it. The CRDs are the shared cluster's.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { projectImages } from '../cluster/images.ts'
import { run } from '../cluster/run.ts'
import { type SharedCluster, sharedCluster } from '../cluster/shared.ts'
import { onCluster } from '../cluster/suites.ts'
import { eventually } from '../eventually.ts'
import { chart, helms, render, type Values } from './chart.ts'

const MINUTE_MS = 60_000
jest.setTimeout(MINUTE_MS) // several calls of kubectl and Helm, on a machine that may be busy

const MONITORING = ['serviceMonitor', 'podMonitor', 'prometheusRule', 'dashboard']

onCluster('the chart', () => {
  let cluster: SharedCluster
  let images: Record<'operator' | 'redis', string>
  let home: string

  beforeAll(async () => {
    for (const program of Object.values(helms)) await program()
    cluster = await sharedCluster()
    images = await projectImages(cluster, ['operator', 'redis'])
    home = mkdtempSync(join(tmpdir(), 'millhand-helm-'))
  }, 60 * MINUTE_MS)
  afterAll(() => rmSync(home, { recursive: true, force: true }))

  const apply = (object: object, ...flags: string[]) =>
    cluster.kubectl(['apply', '--server-side', '-f', '-', ...flags], { stdin: JSON.stringify(object) })

  /** A release that watches two namespaces: other suites have operators of their own in the same cluster. */
  function valuesFor(namespaces: string[]): Values {
    const image = (name: string) => {
      const [repository, tag] = name.split(/:(?=[^:]*$)/)
      return { repository, tag }
    }
    return {
      image: image(images.operator),
      crds: { install: false },
      watch: { namespaces },
      metrics: { secure: { enabled: true } },
      redis: {
        embedded: { enabled: true, image: image(images.redis), secretNamespaces: namespaces.slice(1) },
      },
    }
  }

  test('renders only what the API server accepts', async () => {
    const namespace = await cluster.newNamespace('chart-dry')
    const values = {
      redis: { embedded: { enabled: true, persistence: { enabled: true } } },
      metrics: {
        secure: { enabled: true, tlsSecretName: 'tls' },
        ...Object.fromEntries(MONITORING.map((name) => [name, { enabled: true }])),
      },
      networkPolicy: { metricsFrom: [{ namespaceSelector: {} }] },
      extraVolumes: [{ name: 'ca', configMap: { name: 'ca' } }],
    }
    const resources = await render(values, { namespace, name: namespace })
    const known = resources.filter(({ apiVersion }) => !apiVersion.startsWith('monitoring.'))
    expect(resources.length - known.length).toBe(3)
    const list = { apiVersion: 'v1', kind: 'List', items: known }
    const said = await apply(list, '--dry-run=server', '--force-conflicts')
    expect(said.trim().split('\n')).toHaveLength(known.length)
    await cluster.deleteNamespace(namespace)
  })

  describe.each(Object.entries(helms))('installed by %s', (_, program) => {
    let namespace: string
    let shop: string
    /** It is deleted while the release watches it. */
    let short: string

    beforeAll(async () => {
      namespace = await cluster.newNamespace('millhand-chart')
      shop = await cluster.newNamespace('chart-shop')
      short = await cluster.newNamespace('chart-short')
    })
    afterAll(async () => {
      await cluster.deleteNamespace(namespace)
      await cluster.deleteNamespace(shop)
    })

    const helm = (command: string, ...args: string[]) =>
      helmIn(namespace, valuesFor([namespace, shop, short]), command, ...args)

    /** The release is called as its namespace, and so is everything in it. */
    async function helmIn(
      release: string,
      values: Values,
      command: string,
      ...args: string[]
    ): Promise<string> {
      const folders = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home }
      const where = ['--kubeconfig', cluster.kubeconfig, '--namespace', release]
      const [verb = '', ...words] = command.split(' ')
      return run([await program(), verb, release, ...words, ...where, ...args], {
        env: { ...process.env, ...folders },
        stdin: JSON.stringify(values),
      })
    }
    const get = (resource: string, path: string, inNamespace = namespace) =>
      cluster.kubectl(['get', resource, '-n', inNamespace, '-o', `jsonpath={${path}}`])
    const password = (inNamespace: string) => get('secret/millhand-redis', '.data.password', inNamespace)
    const mayOperator = async (...what: string[]) => {
      const who = `--as=system:serviceaccount:${namespace}:${namespace}`
      const asked = cluster.kubectl(['auth', 'can-i', ...what, '-n', shop, who])
      return (await asked.catch(() => 'no')).trim()
    }

    test(
      'it comes up, says what to do next, and one of two operators leads',
      async () => {
        const notes = await helm('install', chart, '--values', '-', '--wait', '--timeout', '5m')
        expect(notes).toContain(`rollout status deployment/${namespace}`)
        expect(notes).toContain('crds.install is false')
        expect(notes).toContain(
          `The Secret millhand-redis has its address, in: ${namespace}, ${shop}, ${short}`,
        )

        expect(await get(`deployment/${namespace}`, '.status.readyReplicas')).toBe('2')
        const pods = await get('pods', '.items[*].metadata.name')
        const leader = await eventually(() => get(`lease/${namespace}`, '.spec.holderIdentity'), {
          withinMs: MINUTE_MS,
        })
        expect(pods.split(' ')).toContain(leader)
      },
      6 * MINUTE_MS,
    )

    test(
      'its test passes',
      async () => {
        expect(await helm('test', '--timeout', '2m')).toMatch(/Phase: +Succeeded/)
      },
      3 * MINUTE_MS,
    )

    test(
      'it makes queues and pools ready, with the Redis that came along',
      async () => {
        const base = { apiVersion: 'millhand.dev/v1beta1', metadata: { name: 'mail', namespace: shop } }
        const template = { spec: { containers: [{ name: 'worker', image: 'example/mail:1' }] } }
        await apply({ ...base, kind: 'TaskQueue' })
        await apply({ ...base, kind: 'WorkerPool', spec: { queues: [{ name: 'mail' }], template } })
        const wait = ['wait', '--for=condition=Ready', 'tq/mail', 'wp/mail', '-n', shop, '--timeout=90s']
        await cluster.kubectl(wait)
        expect(await get('deployment/mail', '.spec.replicas', shop)).toBe('0')
      },
      2 * MINUTE_MS,
    )

    test('it may do what it must, and no more', async () => {
      expect(await mayOperator('get', 'secrets/millhand-redis')).toBe('yes')
      expect(await mayOperator('create', 'deployments')).toBe('yes')
      expect(await mayOperator('get', 'secrets/other')).toBe('no')
      expect(await mayOperator('list', 'secrets')).toBe('no')
      expect(await mayOperator('delete', 'pods')).toBe('no')
      expect(await mayOperator('delete', 'workerpools')).toBe('no')
      expect(await mayOperator('list', 'pods', '--all-namespaces')).toBe('no')
    })

    test(
      'its metrics are for service accounts that may get them',
      async () => {
        for (const name of ['prometheus', 'other'])
          await cluster.kubectl(['create', 'serviceaccount', name, '-n', namespace])
        const binding = ['create', 'clusterrolebinding', `${namespace}-prometheus`]
        const role = `--clusterrole=${namespace}-metrics-reader`
        await cluster.kubectl([...binding, role, `--serviceaccount=${namespace}:prometheus`])
        const scrape = async (account: string) => {
          const token = await cluster.kubectl(['create', 'token', account, '-n', namespace])
          const url = `https://${namespace}:8443/metrics`
          const script = `process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'
            const headers = { authorization: 'Bearer ' + process.argv[1] }
            const response = await fetch('${url}', { headers, signal: AbortSignal.timeout(30_000) })
            console.log(response.status, await response.text())`
          const node = ['node', '--input-type=module', '--eval', script, token.trim()]
          return cluster.kubectl(['exec', `deployment/${namespace}`, '-n', namespace, '--', ...node])
        }
        // RBAC caches of the API server may need a moment.
        const said = await eventually(async () => {
          const answer = await scrape('prometheus')
          return answer.startsWith('200') && answer
        })
        expect(said).toContain('leader_election_master_status')
        expect(await scrape('other')).toMatch(/^403 .*may not get the nonResourceURL \/metrics/)
        await cluster.kubectl(['delete', 'clusterrolebinding', `${namespace}-prometheus`])
      },
      2 * MINUTE_MS,
    )

    test('people may do with pools what they may do with Deployments', async () => {
      const may = async (who: string, verb: string) => {
        const asked = cluster.kubectl(['auth', 'can-i', verb, 'workerpools', '-n', shop, `--as=${who}`])
        return (await asked.catch(() => 'no')).trim()
      }
      for (const role of ['view', 'edit'])
        await cluster.kubectl([
          'create',
          'rolebinding',
          `test-${role}`,
          `--clusterrole=${role}`,
          `--user=${role}er`,
          '-n',
          shop,
        ])
      // The controller that adds the rules to view and edit may need a moment.
      await eventually(async () => (await may('editer', 'create')) === 'yes')
      await eventually(async () => (await may('viewer', 'get')) === 'yes')
      expect(await may('viewer', 'create')).toBe('no')
      expect(await may('nobody', 'get')).toBe('no')
    })

    test(
      'upgrade and rollback keep the password of Redis',
      async () => {
        const first = await password(namespace)
        expect(first.length).toBeGreaterThan(32)
        await helm('upgrade', chart, '--values', '-', '--set', 'logLevel=debug', '--wait', '--timeout', '5m')
        const level = '.spec.template.spec.containers[0].env[?(@.name=="MILLHAND_LOG_LEVEL")].value'
        expect(await get(`deployment/${namespace}`, level)).toBe('debug')
        expect(await password(namespace)).toBe(first)
        expect(await password(shop)).toBe(first)

        await helm('rollback 1', '--wait', '--timeout', '5m')
        expect(await get(`deployment/${namespace}`, level)).toBe('info')
        expect(await password(shop)).toBe(first)
      },
      11 * MINUTE_MS,
    )

    test(
      'the CRDs that an earlier release left: another one is refused, and told what to do',
      async () => {
        const [first, second] = [await cluster.newNamespace('first'), await cluster.newNamespace('second')]
        const withCrds = (release: string): Values => ({
          watch: { namespaces: [release] },
          rbac: { aggregateClusterRoles: false },
        })
        const owner = () =>
          cluster.kubectl([
            ...['get', 'crd', 'workerpools.millhand.dev', '-o'],
            'jsonpath={.metadata.annotations.meta\\.helm\\.sh/release-name}',
          ])
        for (const release of [first, second]) {
          const install = () => helmIn(release, withCrds(release), 'install', chart, '--values', '-')
          const refusal = await install().catch((error: Error) => error.message)
          expect(refusal).toContain('is there already and belongs to')
          const commands = refusal?.match(/(?<=kubectl )(label|annotate) crd .*/g) ?? []
          expect(commands).toHaveLength(2)
          for (const command of commands) await cluster.kubectl(command.split(' '))
          await install()
          expect(await owner()).toBe(release)
          await helmIn(release, {}, 'uninstall')
        }
        // The CRDs of the second one are its own: it is simply installed again.
        await helmIn(second, withCrds(second), 'install', chart, '--values', '-')
        await helmIn(second, {}, 'uninstall')
        expect(await get('crd/workerpools.millhand.dev', '.metadata.name')).toBe('workerpools.millhand.dev')
        for (const release of [first, second]) await cluster.deleteNamespace(release)
      },
      5 * MINUTE_MS,
    )

    test(
      'a namespace that is deleted holds up none of the others, also when the operator starts',
      async () => {
        await cluster.kubectl(['delete', 'namespace', short, '--timeout=120s'])
        const rollout = (command: string, ...flags: string[]) =>
          cluster.kubectl(['rollout', command, `deployment/${namespace}`, '-n', namespace, ...flags])
        await rollout('restart')
        await rollout('status', '--timeout=240s')
        await apply({
          apiVersion: 'millhand.dev/v1beta1',
          kind: 'TaskQueue',
          metadata: { name: 'late', namespace: shop },
        })
        await cluster.kubectl(['wait', '--for=condition=Ready', 'tq/late', '-n', shop, '--timeout=90s'])
        const operators = 'app.kubernetes.io/component=operator'
        const said = await cluster.kubectl(['logs', '-l', operators, '-n', namespace, '--tail=-1'])
        expect(said.split('\n').filter((line) => line.includes('cannot read a namespace'))[0]).toContain(
          short,
        )
        await cluster.kubectl(['delete', 'tq', 'late', '-n', shop])
      },
      8 * MINUTE_MS,
    )

    test(
      'what users declared outlives it',
      async () => {
        await helm('uninstall', '--wait', '--timeout', '2m')
        expect(await get('deployments', '.items[*].metadata.name')).toBe('')
        expect(await get('millhand', '.items[*].kind', shop)).toBe('TaskQueue WorkerPool')
        expect(await get('deployment/mail', '.metadata.name', shop)).toBe('mail')
      },
      3 * MINUTE_MS,
    )
  })
})
