// millhand why, where no worker takes a job: what the WorkerPools say, of a running up, of the API of a dashboard, or why they
// cannot be asked.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, newJob, openQueue } from 'millhand/queue'
import { NAMESPACE, serve, workerPool } from '../dashboard/served.ts'
import { redisUrl } from '../redis.ts'
import { millhand, PATIENCE_MS, startMillhand, stopAtOnce, TINY_TASKS } from './millhand.ts'

const MANIFEST = `
apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: tiny }
---
apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: alone }
---
apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata: { name: none }
spec:
  queues: [{ name: tiny }]
  replicas: 0
  scaling: { mode: Manual }
  template: { spec: { containers: [{ name: worker, image: none, args: [${TINY_TASKS}] }] } }
`

test(
  'a running up is asked: no pool serves the queue, or it has been scaled to none',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millhand-cli-why-'))
    writeFileSync(join(folder, 'tiny.yaml'), MANIFEST)
    const up = startMillhand(['up'], { cwd: folder })
    const run = async (...args: string[]) => millhand(args, { cwd: folder })
    try {
      await up.says(/^Dashboard: {2}http:/m)
      for (const queue of ['tiny', 'alone']) await run('enqueue', queue, 'succeeds', '1', '--id', 'waits')
      const alone = await run('why', 'alone', 'waits')
      expect(alone).toMatchObject({ code: 0, stderr: '' })
      expect(alone.stdout).toContain('no WorkerPool names the queue alone in spec.queues')
      const { stdout } = await run('why', 'tiny', 'waits')
      expect(stdout).toMatch(/no worker.*\n {2}WorkerPool none: .*0/)
      const { causes } = JSON.parse((await run('why', 'tiny', 'waits', '--json')).stdout)
      expect(causes.at(-1)).toMatchObject({ subject: 'workerpool/none' })
    } finally {
      await stopAtOnce(up)
      rmSync(folder, { recursive: true, force: true })
    }
  },
  2 * PATIENCE_MS,
)

test(
  'the API of a dashboard is asked with a token, and what refuses is a remark',
  async () => {
    const name = `why-${process.pid}`
    const pools = [workerPool('mail', { queues: [{ name }] })]
    const served = await serve({ redisUrl: redisUrl(), queues: [name], pools })
    const redis = connectRedis(redisUrl())
    const why = (args: string[], env: Record<string, string> = {}) =>
      millhand(['why', name, 'waits', '--redis', redisUrl(), '--namespace', NAMESPACE, ...args], {
        cwd: tmpdir(),
        env,
      })
    try {
      await openQueue(redis, `${NAMESPACE}.${name}`).enqueue([newJob('send', null, { id: 'waits' })])
      const env = { MILLHAND_API: `${served.url}/`, MILLHAND_API_TOKEN: served.token }
      expect(await why([], env)).toMatchObject({
        ...{ code: 0, stderr: '' },
        stdout: expect.stringContaining('WorkerPool mail: it has no status yet'),
      })
      const noToken = await why(['--api', served.url])
      expect(noToken.stdout).toContain('no worker has ever served the queue')
      expect(noToken).toMatchObject({
        code: 0,
        stderr: expect.stringMatching(/^its WorkerPools could not be asked: .+\n$/),
      })
      expect((await why([])).stderr).toContain('its WorkerPools were not asked: --context NAME')
      expect(await why(['--context'], { PATH: '/nowhere' })).toMatchObject({
        code: 0,
        stderr: 'its WorkerPools could not be asked: kubectl: not found on the PATH\n',
      })
    } finally {
      served.stop()
      redis.close()
    }
  },
  2 * PATIENCE_MS,
)
