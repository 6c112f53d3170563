// millhand flows: lists flows, shows one as a tree with why its jobs do not run, cancels, retries, follows.
import { type Client, connect, flow } from 'millhand/client'
import type { FlowJobFacts } from 'millhand/queue'
import { alsoText, stateText } from '../../cli/src/flow-text.ts'
import { flowTree, linesBehind } from '../../control/src/decide/flow-tree.ts'
import { RedisServer } from '../redis-server.ts'
import { millhand, PATIENCE_MS } from './millhand.ts'

let server: RedisServer
let client: Client
beforeAll(async () => {
  server = await RedisServer.start()
  client = connect({ redis: server.url })
})
afterAll(async () => {
  client.close()
  await server.remove()
})
const why = async (...args: string[]) =>
  (await millhand(['why', ...args, '--redis', server.url])).stdout.trimEnd().split('\n')
const run = (...args: string[]) => millhand(['flows', ...args, '--redis', server.url])

test(
  'shows a flow from its start to its cancellation, and its retry',
  async () => {
    expect((await run('billing')).stdout).toBe('default.billing is the home of no flows\n')
    const order = flow('order-42')
    const paid = order.add('billing', 'pay', null)
    order.add('stock', 'pack', paid.result)
    await client.start(order)
    expect((await run('billing')).stdout).toMatch(
      /ID +AGE +STATE +JOBS[\s\S]*order-42 +\S+ +running +2 +0 +1 +1/,
    )
    const { stdout } = await run('billing', 'order-42')
    expect(stdout).toMatch(/state +running/)
    expect(stdout).toMatch(/jobs +0 of 2 completed, 1 enqueued, 1 waiting/)
    expect(stdout).toMatch(/^ {2}pay +ready +default\.billing; .*worker/m)
    expect(stdout).toMatch(/^ {4}pack +waiting +default\.stock/m)

    expect(await why('stock', 'order-42:pack')).toEqual([
      'job order-42:pack of default.stock is waiting',
      '  it waits for pay',
      '  pay is ready: no worker has ever served the queue',
    ])

    expect(await run('billing', 'order-42', '--cancel')).toMatchObject({ code: 0 })
    expect((await why('stock', 'order-42:pack'))[1]).toBe('  it will not run: its flow was cancelled')
    const followed = await run('billing', 'order-42', '--follow', '--json')
    expect(JSON.parse(followed.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({ state: 'cancelled' })
    const again = await run('billing', 'order-42', '--cancel')
    expect(again).toMatchObject({ code: 0, stdout: expect.stringMatching(/state +cancelled/) })
    expect((await run('billing', 'order-42', '--retry')).stdout).toMatch(/run +2[\s\S]*pay +ready/)
    expect(await run('billing', 'order-42', '--retry')).toMatchObject({ code: 0 })
    const json = JSON.parse((await run('billing', 'order-42', '--json')).stdout)
    expect(json.flow.flowJobs.map(({ jobId }: FlowJobFacts) => jobId)).toEqual([
      'order-42:pack:2',
      'order-42:pay:2',
    ])
  },
  3 * PATIENCE_MS,
)

test(
  'flows come in pages, each of which says how to get the next',
  async () => {
    for (const id of ['one', 'two', 'three']) {
      const plan = flow(id, { home: 'paged' })
      plan.add('paged', 'pay', null)
      await client.start(plan)
    }
    const first = await run('paged', '--limit', '2')
    const [, cursor = ''] = /^2 of 3 flows; to go on: --cursor '(.+)'$/m.exec(first.stderr) ?? []
    const second = await run('paged', '--limit', '2', '--cursor', cursor)
    expect(second).toMatchObject({ code: 0, stderr: '' })
    const { flows, cursor: next } = JSON.parse((await run('paged', '--limit', '2', '--json')).stdout)
    expect(next).toBe(cursor)
    const ids = [...flows.map(({ id }: { id: string }) => id), second.stdout.split('\n')[1]?.split(' ')[0]]
    expect(ids.sort()).toEqual(['one', 'three', 'two'])
    expect(await run('paged', '--cursor', 'x')).toMatchObject({
      code: 1,
      stderr: 'millhand: invalid cursor: use that of the last page\n',
    })
  },
  2 * PATIENCE_MS,
)

test.each([
  [['billing', '--cancel'], 2, /name the flow by its id/],
  [['billing', 'x', '--cancel', '--retry'], 2, /give one of --follow, --cancel and --retry/],
  [['billing', 'other'], 1, /flow other is not known in default\.billing/],
  [['billing', 'other', '--retry'], 1, /flow other is not known in default\.billing/],
])(
  '%j is refused with the remedy',
  async (args, code, message) => {
    expect(await run(...args)).toMatchObject({ code, stderr: expect.stringMatching(message) })
  },
  PATIENCE_MS,
)

describe('the tree', () => {
  const job = (name: string, after: string[] = [], state = 'waiting'): FlowJobFacts => ({
    ...{ name, state, queue: 'default.a', jobId: `f:${name}`, after },
  })
  const linesOf = (jobs: FlowJobFacts[]) =>
    flowTree(jobs).map((line) =>
      `${'  '.repeat(line.depth)}${line.name} ${stateText(line)} ${alsoText(line)}`.trim(),
    )

  test('has each job once, below the one that it waits for longest', () => {
    expect(linesOf([job('pay'), job('ship', ['pay', 'pack']), job('pack', ['pay'], 'buried')])).toEqual([
      'pay waiting',
      'pack buried',
      'ship waiting also behind pay',
    ])
  })

  test('has the jobs of a large group in one line', () => {
    const parts = Array.from({ length: 12 }, (_, i) => job(`part.${i}`, [], i < 2 ? 'enqueued' : 'completed'))
    const join = job(
      'join',
      parts.map(({ name }) => name),
    )
    expect(linesOf([...parts, join])).toEqual([
      'part.* 2 enqueued, 10 completed',
      expect.stringMatching(/^join waiting also behind part\.1, part\.2, part\.3 and 8 more jobs$/),
    ])
  })

  test('knows which lines a line waits for: a group is one, and none waits for itself', () => {
    const parts = Array.from({ length: 12 }, (_, i) => job(`part.${i}`, i > 0 ? ['pay', 'part.0'] : ['pay']))
    const names = parts.map(({ name }) => name)
    const lines = flowTree([job('pay'), ...parts, job('join', [...names, 'pay', 'elsewhere'])])
    const byName = lines.map(({ name }) => name)
    const behind = linesBehind(lines).map((numbers) => numbers.map((n) => byName[n]))
    expect(Object.fromEntries(byName.map((name, n) => [name, behind[n]]))).toEqual({
      ...{ pay: [], 'part.0': ['pay'], 'part.*': ['pay', 'part.0'], join: ['pay', 'part.0', 'part.*'] },
    })
  })

  test('of a chain of 10,000 jobs is made', () => {
    const chain = Array.from({ length: 10_000 }, (_, i) => job(`step-${i}`, i === 0 ? [] : [`step-${i - 1}`]))
    expect(flowTree(chain).at(-1)).toMatchObject({ name: 'step-9999', depth: 9_999 })
  })
})
