// millhand top in a real terminal, at a real Redis with a real worker.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { type Client, connect } from 'millhand/client'
import { connectRedis, openQueue } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import {
  MILLHAND,
  millhand,
  PATIENCE_MS,
  type Running,
  startMillhand,
  stopAtOnce,
  TINY_TASKS,
} from './millhand.ts'
import { openShell, type Pane } from './tmux.ts'

const TOP = `${process.execPath} ${MILLHAND} top`
const hostile = 'no user 17 \u001b]0;evil\u0007\u001b[2J\u202e 世界 e\u0301'
let redis: RedisServer
let client: Client
let worker: Running
let pane: Pane
let env: NodeJS.ProcessEnv
const run = async (...args: string[]) => (await millhand(args, { env })).stdout
const enqueue = (task: string, input: unknown, id: string, options = {}) =>
  client.queue('mail').enqueue(task, input, { id, maxAttempts: 1, ...options })
const ended = async (...job: Parameters<typeof enqueue>) => (await enqueue(...job)).result().catch(() => {})

beforeAll(async () => {
  redis = await RedisServer.start()
  const { NO_COLOR, ...outside } = process.env
  env = { ...outside, MILLHAND_REDIS_URL: redis.url, MILLHAND_NAMESPACE: 'shop', LC_ALL: 'C.UTF-8' }
  worker = startMillhand(['worker', TINY_TASKS, '--queue', 'mail', '--isolation', 'Reuse'], { env })
  await worker.says(/worker ready/)
  client = connect({ redis: redis.url, namespace: 'shop' })
  await ended('throws', { message: hostile }, 'bad-1')
  await ended('succeeds', { a: 1 }, 'good-1')
  await enqueue('succeeds', { a: 1 }, 'later-1', { delayMs: 3_600_000 })
  await client.queue('other').enqueue('succeeds', {})
}, PATIENCE_MS)
afterAll(async () => {
  client.close()
  await stopAtOnce(worker)
  await redis.remove()
}, PATIENCE_MS)

beforeEach(async () => {
  pane = await openShell(env)
}, PATIENCE_MS)
afterEach(() => pane.close())

async function start(options = ''): Promise<void> {
  await pane.type(`${TOP} ${options}`)
  await pane.press('Enter')
  await pane.shows(/^mail +0 +0 +1 +\d/m)
}

/** What a terminal is that nobody draws in. */
async function isSane(): Promise<void> {
  await eventually(
    async () => (await pane.is('alternate_on')) === '0' && (await pane.is('cursor_flag')) === '1',
  )
  // After SIGKILL the shell may have prompted before the guard had left the alternate screen.
  await pane.press('Enter')
  await pane.shows(/\$$/m)
  await pane.type("stty -a | grep -owE -- '-?(icanon|echo|isig)' | tr '\\n' ,")
  await pane.press('Enter')
  expect(await pane.shows(/^[a-z,-]+,\$$/m)).toMatch(/^isig,icanon,echo,\$$/m)
}

test(
  'it shows the queues, opens jobs and one job, and goes back',
  async () => {
    await start()
    expect(await pane.screen()).toMatch(
      /^millhand › queues .*127\.0\.0\.1:\d+ +\d\d:\d\d:\d\d\n2 queues: 1 ready/,
    )
    expect(await pane.screen()).toMatch(/^other +1 +0 +0 +0 +0 +\S+ +\S+ +\S+ +0$/m)
    await pane.press('Enter')
    await pane.shows(/millhand › queues › jobs mail/)
    await pane.shows(/^buried +bad-1 +throws/m)
    await pane.press('j', 'Enter')
    await pane.shows(/› job bad-1/)
    await pane.shows(/failed attempt:/)
    await pane.press('Escape')
    await pane.shows(/^delayed +later-1/m)
    await pane.press('Escape')
    await pane.shows(/^millhand › queues +1/)
    await pane.press('q')
    await isSane()
  },
  PATIENCE_MS,
)

test(
  'jobs are filtered by state and by the language of filters, and a wrong filter says what is wrong',
  async () => {
    await start()
    await pane.press('Enter', '5')
    expect(await pane.shows(/^buried · /m)).not.toContain('good-1')
    await pane.press('1', '/')
    await pane.shows(/^\/ +state:buried task:Send/m)
    await pane.type('task:succ* -state:delayed')
    await pane.press('Enter')
    const shown = await pane.shows(/^\/task:succ\* -state:delayed/m)
    expect(await pane.shows(/^completed +good-1/m)).not.toMatch(/bad-1|later-1/)
    expect(shown).toContain('jobs mail')
    await pane.press('/')
    await pane.type(' color:red')
    await pane.press('Enter')
    await pane.shows(/invalid filter "color:": there is no such field/)
    await pane.press('C-u', 'Enter')
    await pane.shows(/bad-1/)
  },
  PATIENCE_MS,
)

test(
  'a colon goes to another view, with completion and aliases',
  async () => {
    await start()
    await pane.press(':')
    await pane.type('err')
    await pane.press('Tab')
    await pane.type(' ma')
    await pane.shows(/^:errors ma +errors mail/m)
    await pane.press('Tab', 'Enter')
    await pane.shows(/^ +1 +1 +\S+ +throws +TypeError: no user 17/m)
    await pane.press('Enter')
    await pane.shows(/state:buried error:v1:[0-9a-f]{16}/)
    await pane.shows(/bad-1/)
    await pane.press(':')
    await pane.type('w')
    await pane.press('Enter')
    await pane.shows(/^1 worker: 0 of 1 slot busy\nQUEUE +WORKER.*\nmail /m)
    await pane.press(':')
    await pane.type('nowhere')
    await pane.press('Enter')
    await pane.shows(/no such view: use queues, jobs, job, workers, errors, schedules, flows, quit/)
    await pane.press('Escape', '?')
    await pane.shows(/keys of workers/)
  },
  PATIENCE_MS,
)

test(
  'what changes a job is asked first, and is not done by what is pasted',
  async () => {
    const connection = connectRedis({ url: redis.url }, { name: 'test' })
    const queue = openQueue(connection, 'shop.mail')
    const state = async (id: string) => (await queue.job(id))?.state
    await ended('throws', { message: 'x' }, 'bad-2')
    await queue.pause()
    await start('--refresh 250ms')
    await pane.press('Enter', '5')
    await pane.shows(/^buried +bad-2/m)
    await pane.type('Ry')
    await pane.shows(/retry job bad-2 of mail\? y, or any other key/)
    expect(await state('bad-2')).toBe('buried')
    await pane.press('n')
    await pane.shows(/nothing was done/)
    expect(await state('bad-2')).toBe('buried')
    await pane.press('R')
    await pane.shows(/retry job bad-2/)
    await pane.press('y')
    await pane.shows(/job bad-2 is ready again/)
    expect(await state('bad-2')).toBe('ready')
    await pane.press('3')
    await pane.shows(/^ready +bad-2/m)
    await pane.press('D')
    await pane.shows(/delete job bad-2/)
    await pane.press('y')
    await pane.shows(/job bad-2 is ready; only buried and ended jobs can be deleted/)
    await pane.press('C')
    await pane.shows(/cancel job bad-2/)
    await pane.press('y')
    await eventually(async () => (await state('bad-2')) === 'cancelled')
    await pane.press('P')
    await pane.shows(/pause mail, or resume it/)
    await pane.press('y')
    await eventually(async () => !(await queue.depth()).paused)
    connection.close()
  },
  PATIENCE_MS,
)

test(
  'with --read-only nothing is changed',
  async () => {
    await start('--read-only')
    await pane.press('P')
    await pane.shows(/nothing is changed: --read-only/)
    await pane.press('y')
    expect(JSON.parse(await run('queues', 'mail', '--json'))[0].paused).toBe(false)
  },
  PATIENCE_MS,
)

test(
  'it fits any size of the terminal, also when that changes',
  async () => {
    await start()
    await pane.resize(200, 50)
    await pane.shows(/^millhand › queues {100,}.*\d\d:\d\d:\d\d$/m)
    expect((await pane.screen()).trimEnd().split('\n')).toHaveLength(50)
    await pane.resize(20, 5)
    await pane.shows(/^mail/m)
    await pane.resize(2, 1)
    await pane.resize(80, 24)
    const lines = (await pane.shows(/^other +1 +0/m)).trimEnd().split('\n')
    expect(lines).toHaveLength(24)
    expect(lines[23]).toMatch(/^\/ filter/)
  },
  PATIENCE_MS,
)

test(
  'text of tasks is no control sequence, and wide characters keep the columns',
  async () => {
    await start()
    await pane.press('Enter')
    await pane.shows(/bad-1/)
    await pane.press('/')
    await pane.type('id:bad-1')
    await pane.press('Enter')
    await pane.resize(200, 24)
    await pane.shows(/no user 17 \\x1b\]0;evil\\x07\\x1b\[2J\\u202e 世界 e\u0301/)
    expect(await pane.is('pane_title')).not.toContain('evil')
    await pane.press('Enter')
    await pane.shows(/input +\{"message":"no user 17/)
  },
  PATIENCE_MS,
)

test(
  'it says since when Redis is away, takes keys meanwhile, and goes on',
  async () => {
    await start('--refresh 250ms')
    redis.freeze()
    await pane.shows(/Redis has not answered since \d\d:\d\d:\d\d \(.*\): these numbers are older/)
    await pane.press('?')
    await pane.shows(/keys of queues/)
    await pane.press('Escape')
    await pane.shows(/^mail +0/m)
    redis.thaw()
    await pane.shows(/^2 queues: 1 ready/m)
  },
  PATIENCE_MS,
)

test.each([
  ['q', () => pane.press('q')],
  ['Ctrl-C', () => pane.press('C-c')],
  ['SIGTERM', () => signal('SIGTERM')],
  ['SIGKILL', () => signal('SIGKILL')],
])(
  'the terminal is as before after %s',
  async (_, end) => {
    await start()
    expect(await pane.is('alternate_on')).toBe('1')
    await end()
    await isSane()
  },
  PATIENCE_MS,
)

test(
  'the terminal is as before after a crash, and shows why',
  async () => {
    const code = "process.on('SIGUSR2', () => { throw new Error('a bug') })"
    const crash = Buffer.from(code).toString('base64')
    await pane.type(`NODE_OPTIONS='--import=data:text/javascript;base64,${crash}' ${TOP}`)
    await pane.press('Enter')
    await pane.shows(/^mail +0/m)
    await signal('SIGUSR2')
    await pane.shows(/Error: a bug/)
    await isSane()
  },
  PATIENCE_MS,
)

test(
  'Ctrl-Z goes back to the shell, and fg draws all again',
  async () => {
    await start()
    await pane.press('C-z')
    await isSane()
    await pane.type('fg')
    await pane.press('Enter')
    await pane.shows(/^mail +0 +0 +1/m)
    await pane.press('j', 'q')
    await isSane()
  },
  PATIENCE_MS,
)

test(
  'NO_COLOR leaves no colours',
  async () => {
    const colored = /ESC\[[0-9;]*\b3[1-7]m/
    const styles = async () => (await pane.screen('with styles')).replaceAll('\u001b', 'ESC')
    await start()
    expect(await styles()).toMatch(colored)
    await pane.press('q')
    await pane.shows(/\$$/m)
    await pane.type(`NO_COLOR=1 ${TOP}`)
    await pane.press('Enter')
    await pane.shows(/^mail +0/m)
    expect(await styles()).not.toMatch(colored)
  },
  PATIENCE_MS,
)

test('without a terminal it prints one picture, and as JSON the data', async () => {
  expect(await run('top')).toMatch(
    /^2 queues: 1 ready, 0 busy, 1 delayed, 1 buried\n\nQUEUE +READY .*\nmail +0 /,
  )
  const [mail, other] = JSON.parse(await run('top', '--once', '--json'))
  expect(mail).toMatchObject({ name: 'mail', namespace: 'shop', delayed: 1, workers: { alive: 1, slots: 1 } })
  expect(other).toMatchObject({ queue: 'shop.other', ready: 1, workers: { alive: 0, slots: 0 } })
  expect(await run('top', 'other')).not.toContain('mail')
  const { code, stderr } = await millhand(['top', '--refresh', '1ms'], { env })
  expect(code).toBe(2)
  expect(stderr).toContain('It is 250ms or more.')
})

test('a look asks each queue for its depth once', async () => {
  const connection = connectRedis({ url: redis.url }, { name: 'test' })
  const calls = async () => {
    const info = String(await connection.call('INFO', 'commandstats'))
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(info)?.[1] ?? 0)
  }
  // The worker renews meanwhile: it is stopped.
  worker.process.kill('SIGSTOP')
  const before = await calls()
  await run('top', '--once')
  const asked = (await calls()) - before
  worker.process.kill('SIGCONT')
  connection.close()
  // A depth and the workers of each of two queues.
  expect(asked).toBe(4)
})

/** To top alone, as another terminal would. */
async function signal(name: NodeJS.Signals): Promise<void> {
  const { stdout } = await promisify(execFile)('ps', ['-t', await pane.is('pane_tty'), '-o', 'pid=,args='])
  const top = stdout.split('\n').find((line) => line.includes(`${MILLHAND} top`))
  process.kill(Number(top?.trim().split(' ')[0]), name)
}
