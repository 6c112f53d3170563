// The example of reports: the check comes by the clock, with no worker to begin with, and the report can be run now.
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import { millhand, PATIENCE_MS, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/reports', import.meta.url))

test(
  'a check comes every five seconds, each once, and the report when somebody asks',
  async () => {
    const server = await RedisServer.start()
    const running = startMillhand(['up', '-f', EXAMPLE, '--redis', server.url, '--no-dashboard'])
    const client = connect({ redis: server.url })
    const { schedules } = client.queue('reports')
    try {
      await running.says(/^ready: 1 queue, 1 pool, 2 schedules;/m)
      const check = await eventually(
        async () => {
          const found = await schedules.get('check')
          return (found?.fired ?? 0) >= 2 && found?.last?.state === 'completed' ? found : undefined
        },
        { what: 'two checks', withinMs: 60_000 },
      )
      expect(check.owner).toBe('Schedule default/check')
      expect((check.last?.dueAtMs ?? 0) % 5_000).toBe(0)
      const id = (await schedules.run('nightly')) ?? ''
      expect(await client.queue('reports').job(id).result({ timeoutMs: 60_000 })).toEqual({
        title: 'The report of yesterday',
      })
      const args = ['jobs', 'reports', 'state:completed', '--redis', server.url]
      expect((await millhand(args)).stdout).toContain(`check@${check.last?.dueAtMs}`)
    } finally {
      client.close()
      await stopAtOnce(running)
      await server.remove()
    }
  },
  PATIENCE_MS,
)
