// Autoscalers of nodes are asked to leave a pod alone while it has a long job, and no longer; and what a PodDisruptionBudget adds.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { denying, POLICIES, type Rule } from './admission.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const SOON = { withinMs: 120_000, everyMs: 500 }
const PAGE = fileURLToPath(new URL('../../../docs/operate.md', import.meta.url))
const EVICTION = 'cluster-autoscaler.kubernetes.io/safe-to-evict'
const DISRUPTION = 'karpenter.sh/do-not-disrupt'
const guard = { [EVICTION]: 'false', [DISRUPTION]: 'true' }
const ofTheUser = { [EVICTION]: 'true' }
const two = { slots: 1, scaling: { minReplicas: 2, maxReplicas: 2 } }
const upToThree = { slots: 1, scaling: { minReplicas: 1, maxReplicas: 3 } }

onCluster('a pod with a long job', () => {
  let scene: Scene
  let policy = ''
  beforeAll(async () => {
    scene = await openScene('guards')
    policy = `no-guards-in-${scene.namespace}`
    await scene.apply(...denying(policy, scene.namespace, noGuards))
    const pinned = scene.pool('pinned', two) as KubeJson
    pinned.spec.template.metadata = { annotations: ofTheUser }
    await scene.apply(...['works', 'pinned', 'refused'].map((name) => taskQueue(name)))
    await scene.apply(scene.pool('works', two), pinned, scene.pool('refused', upToThree))
    for (const [name, pods] of [
      ['works', 2],
      ['pinned', 2],
      ['refused', 1],
    ] as const)
      await eventually(async () => (await scene.get('wp', name)).status?.readyReplicas === pods, SOON)
    await scene.enqueue('pinned', 'sleep', [{ ms: 45_000 }])
    await scene.enqueue('refused', 'sleep', [{ ms: 75_000 }])
    await eventually(async () => (await counts('pinned')).busy + (await counts('refused')).busy === 2, SOON)
    await scene.enqueue('works', 'sleep', [{ ms: 60_000 }])
  }, 3_600_000)
  afterAll(async () => {
    await scene?.cluster.kubectl(['delete', '--ignore-not-found', POLICIES, policy])
    await scene?.remove()
  }, 60_000)

  const kubectl = (args: string[], stdin?: string) =>
    scene.cluster.kubectl(['-n', scene.namespace, ...args], stdin === undefined ? {} : { stdin })
  const counts = async (name: string) => (await (await scene.queue(name)).depth()).counts
  const poolOf = ({ metadata }: KubeJson): string => metadata.labels['millhand.dev/pool']
  /** Which of all annotations are about nodes that go away, by pod, in the order in which they were seen. */
  const seen = new Map<string, Set<string>>()
  const look = async (name: string): Promise<KubeJson[]> => {
    const pods: KubeJson[] = JSON.parse(
      await kubectl(['get', 'pods', '-l', 'millhand.dev/pool', '-o', 'json']),
    ).items
    for (const pod of pods) {
      const key = `${poolOf(pod)}/${pod.metadata.uid}`
      seen.set(key, (seen.get(key) ?? new Set()).add(JSON.stringify(aboutNodes(pod))))
    }
    return pods.filter((pod) => poolOf(pod) === name)
  }
  const allSeen = (pool: string) =>
    [...seen].filter(([key]) => key.startsWith(`${pool}/`)).map(([, each]) => [...each])

  const guarded = async () => (await look('works')).filter((pod) => DISRUPTION in aboutNodes(pod))

  test('is guarded while it works', async () => {
    const busy = await eventually(async () => {
      const workers = await (await scene.queue('works')).workers()
      return workers.find(({ held }) => held > 0)?.podUid
    }, SOON)
    const pods = await eventually(
      async () => {
        const found = await guarded()
        return found.length > 0 ? found : undefined
      },
      { ...SOON, what: 'a guard' },
    )
    expect((await counts('works')).busy).toBe(1)
    expect(pods.map(({ metadata }) => metadata.uid)).toEqual([busy])
    expect(pods.map(aboutNodes)).toEqual([guard])
  }, 150_000)

  test('of which a policy refuses the annotations does not keep its pool from growing', async () => {
    await eventually(() => refusals().length > 0, { ...SOON, what: 'a refusal' })
    await scene.enqueue('refused', 'sleep', [{ ms: 15_000 }, { ms: 15_000 }])
    await eventually(async () => (await scene.get('deployment', 'refused')).spec.replicas === 3, SOON)
    expect((await counts('refused')).completed).toBe(0)
    expect(refusals()).toEqual(['refused'])
  }, 150_000)

  test('loses the guard when it has been idle for a while, and its idle neighbour never had it', async () => {
    await eventually(async () => (await look('works')) && (await counts('works')).completed === 1, SOON)
    const [first] = await guarded()
    expect(first).toBeDefined()
    await eventually(async () => (await guarded()).length === 0, { ...SOON, what: 'the end of the guard' })
    expect(uids(await look('works'))).toContain(first.metadata.uid)
    expect(allSeen('works').sort()).toEqual([['{}'], ['{}', JSON.stringify(guard)]])
  }, 240_000)

  test('whose template says itself what may be done with it is left as it is', async () => {
    expect((await counts('pinned')).completed).toBe(1)
    expect(allSeen('pinned')).toEqual([[JSON.stringify(ofTheUser)], [JSON.stringify(ofTheUser)]])
  })

  test('and its neighbours are evicted one by one with the budget of docs/operate.md', async () => {
    const blocks = [...readFileSync(PAGE, 'utf8').matchAll(/```yaml\n(.*?)```/gs)].map(
      ([, block = '']) => block,
    )
    const budget = blocks.find((block) => block.includes('kind: PodDisruptionBudget')) ?? ''
    await kubectl(['apply', '-f', '-'], budget.replaceAll('thumbnails', 'works'))
    await eventually(async () => (await scene.get('pdb', 'works')).status?.disruptionsAllowed === 1, SOON)
    const [first = '', second = ''] = (await look('works')).map(({ metadata }): string => metadata.name)
    // At once: the budget allows the next one as soon as the other's place is filled.
    const asked = await Promise.allSettled([evict(first), evict(second)])
    const refused = asked.flatMap((each) => (each.status === 'rejected' ? [String(each.reason)] : []))
    expect(refused).toEqual([expect.stringContaining("would violate the pod's disruption budget")])
  }, 150_000)

  const refusals = () =>
    scene.operator.lines.flatMap(({ message, pool }) =>
      message === 'the API server refuses to guard pods' ? [pool] : [],
    )
  const evict = (name: string) => {
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name } }
    const path = `/api/v1/namespaces/${scene.namespace}/pods/${name}/eviction`
    return kubectl(['create', '--raw', path, '-f', '-'], JSON.stringify(eviction))
  }
})

const uids = (pods: KubeJson[]): string[] => pods.map(({ metadata }) => metadata.uid)

function aboutNodes({ metadata: { annotations = {} } }: KubeJson): Record<string, string> {
  const found = [EVICTION, DISRUPTION].filter((name) => name in annotations)
  return Object.fromEntries(found.map((name) => [name, annotations[name]]))
}

/** No pod of the pool `refused` may ask for being left alone. */
const noGuards: Rule = {
  matchConstraints: {
    resourceRules: [
      { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE', 'UPDATE'], resources: ['pods'] },
    ],
    objectSelector: { matchLabels: { 'millhand.dev/pool': 'refused' } },
  },
  validation: {
    expression: `!("${DISRUPTION}" in object.metadata.?annotations.orValue({}))`,
    message: 'nodes must be free to go',
  },
}
