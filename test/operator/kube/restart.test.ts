// The API server is ended and started again, in a cluster of this suite's own.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from 'millhand/queue'
import { connectKube, type Kube, kinds } from '../../../operator/src/kube/client.ts'
import { KubeError } from '../../../operator/src/kube/errors.ts'
import { type KubeObject, Reflector } from '../../../operator/src/kube/reflector.ts'
import { type Cluster, clusterLeftOut, startCluster } from '../../cluster/cluster.ts'
import { equipped } from '../../cluster/shared.ts'
import { eventually } from '../../eventually.ts'

const leftOut = clusterLeftOut()
if (leftOut) console.warn(leftOut)
// A given cluster's API server is not ours to end.
const onOwnCluster = leftOut || process.env.MILLHAND_TEST_KUBECONFIG ? describe.skip : describe

onOwnCluster('when the API server goes away and comes back', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-restart-'))
  let cluster: Cluster
  let kube: Kube
  beforeAll(async () => {
    const say = (line: string) => process.stderr.write(`${line}\n`)
    cluster = await equipped(await startCluster({ folder: join(folder, 'cluster'), endsWithMe: true, say }))
    kube = connectKube({ kubeconfig: cluster.kubeconfig })
  }, 3_600_000)
  afterAll(async () => {
    kube?.close()
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  const put = (name: string) =>
    kube.apply(kinds.TaskQueue, { metadata: { name, namespace: 'default' }, ...{ spec: {} } })
  const remove = (name: string) => cluster.kubectl(['delete', 'tq', name])

  test('a reflector goes on by itself and misses nothing', async () => {
    await put('stays')
    await put('goes')
    const gone: string[] = []
    const appeared: string[] = []
    const reflector = new Reflector<KubeObject>({
      name: 'queues',
      source: kube.listWatch(kinds.TaskQueue),
      onChange: ({ key, now, before }) => {
        if (!now) gone.push(key)
        else if (!before) appeared.push(key)
      },
      log: silent,
    })
    const ending = new AbortController()
    const running = reflector.run(ending.signal)
    await reflector.synced
    await cluster.stopApiServer()
    const refused = await put('too-early').catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(KubeError)
    expect(refused).toMatchObject({ status: 0, reason: 'Unreachable' })
    expect([...reflector.list()].length).toBe(2)
    await cluster.startApiServer()
    await remove('goes')
    await put('comes')
    const isCaughtUp = () => reflector.get('default/comes') && !reflector.get('default/goes')
    await eventually(isCaughtUp, { withinMs: 60_000, what: 'what happened after the restart' })
    expect(appeared).toEqual(['default/goes', 'default/stays', 'default/comes'])
    expect(gone).toEqual(['default/goes'])
    await put('later')
    await eventually(() => reflector.get('default/later'))
    ending.abort()
    await running
  }, 180_000)
})
