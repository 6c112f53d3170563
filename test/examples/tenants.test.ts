// The example of tenants: the greedy one does not keep the others waiting.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { millhand, PATIENCE_MS, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { RedisServer } from '../redis-server.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/tenants', import.meta.url))

test(
  'a tenant with one mail, and one with five, do not wait for two hundred of another one',
  async () => {
    const server = await RedisServer.start()
    const running = startMillhand(['up', '-f', EXAMPLE, '--redis', server.url, '--no-dashboard'])
    try {
      await running.says(/^ready: /m)
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--conditions=millhand-source', join(EXAMPLE, 'enqueue.ts')],
        { env: { ...process.env, MILLHAND_REDIS_URL: server.url } },
      )
      const lastOf = (tenant: string) =>
        Number(
          new RegExp(`^${tenant}: the last of its mails was number (\\d+) of 206$`, 'm').exec(stdout)?.[1],
        )
      expect(lastOf('shy')).toBeLessThanOrEqual(20)
      expect(lastOf('modest')).toBeLessThanOrEqual(40)
      expect(lastOf('greedy')).toBe(206)
      const { code, stdout: said } = await millhand([
        'limit',
        'mail',
        '--key',
        'greedy',
        '--redis',
        server.url,
      ])
      expect(code).toBe(0)
      expect(said).toContain('key greedy of default.mail: 0 running, 0 ready')
      expect(said).toContain('its limits: 2 running; Wait')
    } finally {
      await stopAtOnce(running)
      await server.remove()
    }
  },
  PATIENCE_MS,
)
