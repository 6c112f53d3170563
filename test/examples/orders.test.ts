// The example of orders: one goes through, and one that fails is undone.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { millhand, PATIENCE_MS, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { RedisServer } from '../redis-server.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/orders', import.meta.url))

test(
  'an order goes through three queues; one that cannot be shipped is unpacked and paid back',
  async () => {
    const server = await RedisServer.start()
    const running = startMillhand(['up', '-f', EXAMPLE, '--redis', server.url, '--no-dashboard'])
    try {
      await running.says(/^ready: /m)
      const { stdout } = await promisify(execFile)(
        process.execPath,
        ['--conditions=millhand-source', join(EXAMPLE, 'order.ts')],
        { env: { ...process.env, MILLHAND_REDIS_URL: server.url } },
      )
      expect(stdout.trim().split('\n')).toEqual([
        'to Rome: parcel-1 is on its way to Rome',
        ...['  pay: completed', '  reserve: completed', '  ship: completed', '  write: completed'],
        'flow order-2 failed: job ship is buried',
        ...[
          '  pay: compensated',
          '  pay.undo: completed',
          '  reserve: compensated',
          '  reserve.undo: completed',
        ],
        ...['  ship: buried', '  write: skipped'],
      ])
      const { code, stdout: tree } = await millhand(['flows', 'billing', 'order-2', '--redis', server.url])
      expect(code).toBe(0)
      expect(tree).toMatch(/state +failed\n +because +ship is buried/)
      expect(tree).toMatch(
        /^ {2}pay +compensated +default\.billing\n {4}reserve +compensated +default\.stock\n {6}ship +buried/m,
      )
    } finally {
      await stopAtOnce(running)
      await server.remove()
    }
  },
  2 * PATIENCE_MS,
)
