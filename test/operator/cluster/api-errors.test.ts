// An API server that refuses every third call, is slow, hangs, or does what it was asked and loses the answer: pools live on it as on a
// well one, only later, and it is hardly asked more often for that.
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onTestbed } from '../../cluster/suites.ts'
import { livePool } from './life.ts'
import { openScene, type Scene } from './scene.ts'
import type { Requested } from './troubled-api.ts'
import { type World, watchWorld } from './world.ts'

const seed = Number(process.env.MILLHAND_TROUBLE_SEED ?? Date.now() % 2 ** 31)
const TROUBLED = 1 / 3
const POOLS = ['one', 'two', 'three']
/** Leases are renewed by the clock. */
const isOfALife = ({ path }: Requested) => !path.includes('/leases')

onTestbed(`an operator whose API server is in trouble (seed ${seed})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-trouble-'))
  let cluster: SharedCluster
  let world: World
  let api: TroubledApi
  let scene: Scene
  beforeAll(async () => {
    cluster = await sharedCluster()
    world = await watchWorld(cluster)
    api = await startTroubledApi(cluster)
    scene = await openScene('trouble', { cluster, variables: wayTo(api.port) })
  }, 3_600_000)
  afterAll(async () => {
    await scene?.remove()
    api?.process.kill()
    await world?.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  test('brings pools through their lives, and asks it little more than a well one', async () => {
    api.process.stdin?.write(`${TROUBLED}\n`)
    await Promise.all(POOLS.map((name) => livePool(scene, world, name)))
    api.process.stdin?.write('0\n')
    const duringIt = api.requests.length
    await livePool(scene, world, 'well')

    const troubles = Map.groupBy(api.requests, ({ trouble }) => trouble)
    const inSecond = Map.groupBy(api.requests, ({ atMs }) => Math.floor(atMs / 1000))
    const most = Math.max(...[...inSecond.values()].map(({ length }) => length))
    const inTrouble = api.requests.slice(0, duringIt).filter(isOfALife).length / POOLS.length
    const well = api.requests.slice(duringIt).filter(isOfALife).length
    process.stderr.write(
      `an API server in trouble (seed ${seed}): ${[...troubles].map(([trouble, { length }]) => `${length} ${trouble}`).join(', ')}; ` +
        `${Math.round(inTrouble)} calls a life, ${well} without trouble, at most ${most} in a second\n`,
    )
    expect(troubles.size).toBeGreaterThan(5)
    expect(inTrouble).toBeLessThan(3 * well)
    expect(most).toBeLessThan(100)
    expect(scene.operator.process.exitCode).toBe(null)
    expect(scene.operator.lines.filter(({ level }) => level === 'error')).toEqual([])
  }, 600_000)

  /** The operator finds the API server by KUBECONFIG, which names the real one in here: it is changed before the operator reads it. */
  function wayTo(port: number): Record<string, string> {
    const kubeconfig = join(folder, 'kubeconfig')
    const cluster = {
      name: 'troubled',
      cluster: { server: `http://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true },
    }
    const context = { name: 'troubled', context: { cluster: 'troubled', user: 'nobody' } }
    const users = [{ name: 'nobody', user: {} }]
    const config = { clusters: [cluster], contexts: [context], users, 'current-context': 'troubled' }
    writeFileSync(kubeconfig, JSON.stringify({ apiVersion: 'v1', kind: 'Config', ...config }))
    return {
      MILLHAND_TEST_API: kubeconfig,
      NODE_OPTIONS: '--import=data:text/javascript,process.env.KUBECONFIG=process.env.MILLHAND_TEST_API',
    }
  }
})

interface TroubledApi {
  process: ChildProcess
  port: number
  requests: Requested[]
}

async function startTroubledApi(cluster: SharedCluster): Promise<TroubledApi> {
  const program = fileURLToPath(new URL('./troubled-api.ts', import.meta.url))
  const started = cluster.inside([process.execPath, program, String(seed)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  if (!started.stdout) throw new Error('it has no output')
  const requests: Requested[] = []
  const port = await new Promise<number>((resolve, reject) => {
    started.once('exit', (code) => reject(new Error(`the troubled API server ended with ${code}`)))
    createInterface({ input: started.stdout! }).on('line', (line) => {
      const said: Requested | number = JSON.parse(line)
      if (typeof said === 'number') resolve(said)
      else requests.push(said)
    })
  })
  return { process: started, port, requests }
}
