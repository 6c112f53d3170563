// millhand schedules and millhand schedule: as a person sets, looks, runs, pauses and deletes.
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { RedisServer } from '../redis-server.ts'
import { millhand, PATIENCE_MS } from './millhand.ts'

let server: RedisServer
let redis: Connection
let queue: Queue
beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
  queue = openQueue(redis, 'default.reports')
})
afterAll(async () => {
  redis.close()
  await server.remove()
})
const run = (...args: string[]) => millhand([...args, '--redis', server.url])
const one = (verb: string, ...args: string[]) => run('schedule', verb, 'reports', ...args)

test(
  'a schedule is set, listed, shown with its next ten, run, paused, resumed and deleted',
  async () => {
    const times = [
      '--cron',
      '0 3 * * 1-5',
      '--time-zone',
      'Europe/Berlin',
      '--overlap',
      'Forbid',
      '--jitter',
      '30s',
    ]
    const set = [
      'nightly',
      'build',
      '{"kind":"nightly"}',
      ...times,
      '--tag',
      'nightly',
      '--missed-within',
      '2h',
    ]
    expect(await one('set', ...set)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /^schedule nightly of default\.reports: at 03:00 Monday to Friday, Europe\/Berlin; next: in \d+[hmd]\n$/,
      ),
      stderr: expect.stringContaining('there was no queue default.reports before'),
    })
    expect((await queue.schedules.get('nightly'))?.spec).toEqual({
      ...{
        cron: '0 3 * * 1-5',
        timeZone: 'Europe/Berlin',
        jitterMs: 30_000,
        overlap: 'Forbid',
        task: 'build',
      },
      ...{ input: { kind: 'nightly' }, options: { tags: ['nightly'] }, missed: { withinMs: 7_200_000 } },
    })
    const again = await one('set', ...set, '--json')
    expect(JSON.parse(again.stdout)).toMatchObject({ answer: 'unchanged', name: 'nightly', fired: 0 })

    const { stdout: ran } = await one('run', 'nightly')
    expect(ran).toMatch(/^job nightly@\d+ enqueued in default\.reports\n$/)
    expect((await run('schedules', 'reports')).stdout).toMatch(
      /^default\.reports: 1 schedule\n\nNAME +TASK +WHEN +NEXT +LAST +OUTCOME\nnightly +build +at 03:00 Monday to Friday, Europe\/Berlin +in \S+ +\S+ ago +ready\n$/,
    )
    const shown = await one('show', 'nightly')
    expect(shown.stdout).toMatch(/input +\{"kind":"nightly"\}/)
    expect(shown.stdout).toMatch(
      /runs +1 fired, 0 left out\n +last +.* late, job nightly@\d+\n +outcome +ready\n/,
    )
    expect(shown.stdout.match(/^ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/gm)).toHaveLength(10)
    const asJson = JSON.parse((await one('show', 'nightly', '--json')).stdout)
    expect(asJson.nextRuns).toHaveLength(10)
    expect(asJson.nextRuns[0]).toBe(asJson.nextAtMs)

    expect((await one('pause', 'nightly')).stdout).toBe('schedule nightly is paused\n')
    expect((await run('schedules', 'reports')).stdout).toMatch(/Berlin +paused /)
    expect((await one('resume', 'nightly')).stdout).toMatch(
      /^schedule nightly is no longer paused; next: in /,
    )
    expect((await one('delete', 'nightly')).stdout).toBe('schedule nightly is deleted\n')
    expect(await one('show', 'nightly')).toMatchObject({
      code: 1,
      stderr:
        'millhand: there is no schedule nightly in default.reports; millhand schedules reports lists them\n',
    })
  },
  2 * PATIENCE_MS,
)

test.each([
  [['--cron', '0 0 30 2 *'], 1, /^millhand: invalid cron "0 0 30 2 \*": there is no such day in any year\n$/],
  [
    ['--cron', '@daily', '--time-zone', 'Europe/Berln'],
    1,
    /^millhand: unknown timeZone "Europe\/Berln": did you mean Europe\/Berlin\?\n$/,
  ],
  [[], 2, /^millhand: give either --cron or --every\n$/],
  [['--cron', '@daily', '--every', '1h'], 2, /^millhand: give either --cron or --every\n$/],
])(
  '%j is refused with the remedy',
  async (args, code, message) => {
    expect(await one('set', 's', 'build', ...args)).toMatchObject({
      code,
      stderr: expect.stringMatching(message),
    })
  },
  PATIENCE_MS,
)

test(
  'one that a resource declares is changed and deleted there, and may be run here',
  async () => {
    await queue.schedules.set(
      'owned',
      { everyMs: 60_000, task: 'build' },
      { ownerUid: 'u', owner: 'default/owned' },
    )
    const refused = {
      code: 1,
      stderr:
        'millhand: schedule owned of default.reports belongs to the resource default/owned: change or delete it there\n',
    }
    expect(await one('delete', 'owned')).toMatchObject(refused)
    expect(await one('set', 'owned', 'build', '--every', '1m')).toMatchObject(refused)
    expect(await one('run', 'owned')).toMatchObject({ code: 0 })
  },
  PATIENCE_MS,
)
