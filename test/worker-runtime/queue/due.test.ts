// When a schedule is due: zones, daylight saving time, intervals, jitter, and what is made up for. Pure.
import { checkSchedule, dueTimes, fireAt, type ScheduleSpec, type Timing, whenText } from 'millhand/queue'
import { planAfter, planDue } from '../../../worker-runtime/src/queue/due.ts'
import { randomFrom } from '../../hostile-redis/random.ts'

const HOUR = 3_600_000
const at = (text: string) => Date.parse(text)
const shown = (times: readonly number[]) =>
  times.map((ms) => new Date(ms).toISOString().replace(':00.000Z', 'Z'))
const from = (timing: Timing, after: string, count: number) =>
  shown(dueTimes(timing, { afterMs: at(after), count }))

test.each([
  // Berlin: 02:00 is 03:00 on 2026-03-29, and 03:00 is 02:00 on 2026-10-25.
  ['Europe/Berlin', '0 3 * * *', '2026-03-28T00:00Z', ['2026-03-28T02:00Z', '2026-03-29T01:00Z']],
  ['Europe/Berlin', '30 2 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:30Z']],
  ['Europe/Berlin', '0,30 2 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:00Z']],
  ['Europe/Berlin', '*/30 2 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:00Z']],
  ['Europe/Berlin', '0 2,3 * * *', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:00Z']],
  ['Europe/Berlin', '0 */2 * * *', '2026-03-28T23:30Z', ['2026-03-29T01:00Z', '2026-03-29T02:00Z']],
  ['Europe/Berlin', '30 2 * * *', '2026-10-24T12:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
  [
    'Europe/Berlin',
    '*/30 2 * * *',
    '2026-10-24T12:00Z',
    ['2026-10-25T00:00Z', '2026-10-25T00:30Z', '2026-10-26T01:00Z'],
  ],
  [
    'Europe/Berlin',
    '0 * * * *',
    '2026-10-24T23:30Z',
    ['2026-10-25T00:00Z', '2026-10-25T01:00Z', '2026-10-25T02:00Z'],
  ],
  [
    'Europe/Berlin',
    '*/30 * * * *',
    '2026-03-29T00:15Z',
    ['2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z'],
  ],
  // New York: 02:00 is 03:00 on 2026-03-08, and 02:00 is 01:00 on 2026-11-01.
  ['America/New_York', '15 2 * * *', '2026-03-08T00:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:15Z']],
  ['America/New_York', '30 1 * * *', '2026-11-01T00:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
  ['America/New_York', '0 9 * * 1-5', '2026-10-30T14:00Z', ['2026-11-02T14:00Z', '2026-11-03T14:00Z']],
  // Lord Howe: half an hour. 02:00 is 02:30 on 2026-10-04, and 02:00 is 01:30 on 2026-04-05.
  ['Australia/Lord_Howe', '15 2 * * *', '2026-10-03T00:00Z', ['2026-10-03T15:30Z', '2026-10-04T15:15Z']],
  ['Australia/Lord_Howe', '45 1 * * *', '2026-04-04T00:00Z', ['2026-04-04T14:45Z', '2026-04-05T15:15Z']],
  ['Asia/Kathmandu', '0 0 * * *', '2026-01-01T00:00Z', ['2026-01-01T18:15Z', '2026-01-02T18:15Z']],
  // São Paulo had a midnight that was 01:00, on 2018-11-04, and one that came twice, on 2018-02-18.
  ['America/Sao_Paulo', '0 0 * * *', '2018-11-03T12:00Z', ['2018-11-04T03:00Z', '2018-11-05T02:00Z']],
  ['America/Sao_Paulo', '30 23 * * *', '2018-02-17T12:00Z', ['2018-02-18T01:30Z', '2018-02-19T02:30Z']],
  ['America/Sao_Paulo', '0 0 * * *', '2026-11-01T12:00Z', ['2026-11-02T03:00Z', '2026-11-03T03:00Z']],
  // Samoa had no 2011-12-30.
  ['Pacific/Apia', '0 12 * * *', '2011-12-29T12:00Z', ['2011-12-29T22:00Z', '2011-12-30T22:00Z']],
  ['UTC', '0 0 29 2 *', '2026-01-01T00:00Z', ['2028-02-29T00:00Z', '2032-02-29T00:00Z']],
  ['UTC', '0 0 29 2 *', '2096-03-01T00:00Z', ['2104-02-29T00:00Z']],
  ['UTC', '0 0 31 * *', '2026-03-01T00:00Z', ['2026-03-31T00:00Z', '2026-05-31T00:00Z']],
  ['UTC', '0 0 L 2 *', '2027-01-01T00:00Z', ['2027-02-28T00:00Z', '2028-02-29T00:00Z']],
  // Either of the days, as in every cron.
  ['UTC', '0 0 13 * 5', '2026-03-01T00:00Z', ['2026-03-06T00:00Z', '2026-03-13T00:00Z', '2026-03-20T00:00Z']],
  ['Europe/Berlin', '@daily', '2026-06-01T00:00Z', ['2026-06-01T22:00Z', '2026-06-02T22:00Z']],
  ['Europe/Berlin', '@monthly', '2026-06-02T00:00Z', ['2026-06-30T22:00Z', '2026-07-31T22:00Z']],
])('in %s, %j is due at the right times', (timeZone, cron, after, expected) => {
  expect(from({ timeZone, cron }, after, expected.length)).toEqual(expected)
})

test.each<[Timing, string[]]>([
  [{ cron: '@every 10m' }, ['2026-01-01T00:10Z', '2026-01-01T00:20Z']],
  [{ cron: '@every 1h30m' }, ['2026-01-01T01:30Z', '2026-01-01T03:00Z']],
  [{ everyMs: 6 * HOUR }, ['2026-01-01T06:00Z', '2026-01-01T12:00Z']],
  [{ everyMs: 24 * HOUR }, ['2026-01-02T00:00Z', '2026-01-03T00:00Z']],
])('the interval of %j is due at its whole multiples', (timing, expected) => {
  expect(from(timing, '2026-01-01T00:00Z', 2)).toEqual(expected)
})

test.each<[unknown, RegExp]>([
  [{}, /^give either cron or everyMs$/],
  [{ cron: '0 3 * * *', everyMs: 1_000 }, /^give either cron or everyMs/],
  [{ cron: '0 0 30 2 *' }, /^invalid cron "0 0 30 2 \*": there is no such day in any year$/],
  [{ cron: '61 * * * *' }, /^invalid cron "61 \* \* \* \*": Invalid value for minute: 61$/],
  [
    { cron: '* * * * * *' },
    /use five fields: minute, hour, day of the month, month, day of the week; for seconds use everyMs/,
  ],
  [{ cron: '0 3 * *' }, /use five fields/],
  [{ cron: '5-1 */2 * * *' }, /^invalid cron "5-1 \*\/2 \* \* \*"/],
  [{ cron: '0 */0 * * *' }, /^invalid cron/],
  [{ cron: '2026-01-01T00:00:00' }, /^invalid cron/],
  [{ cron: '@reboot' }, /^invalid cron "@reboot"/],
  [{ cron: '@every ten minutes' }, /^invalid cron "@every ten minutes": use @every and a time/],
  [{ cron: '@every 10ms' }, /use @every and a time/],
  [{ cron: '@every 1000000d' }, /use @every and a time/],
  [{ everyMs: 999 }, /^invalid everyMs 999: use a whole number of at least 1000/],
  [
    { cron: '@daily', timeZone: 'Europe/Berln' },
    /^unknown timeZone "Europe\/Berln": did you mean Europe\/Berlin\?$/,
  ],
  [{ cron: '@daily', timeZone: 'berlin' }, /did you mean Europe\/Berlin\?$/],
  [{ cron: '@daily', timeZone: '+01:00' }, /^unknown timeZone "\+01:00": use a name like Europe\/Berlin$/],
  [{ everyMs: 1_000, timeZone: 'Europe/Berlin' }, /^timeZone belongs to a cron of five fields/],
  [{ cron: '@daily', jitterMs: -1 }, /^invalid jitterMs -1/],
  [{ cron: '@daily', missed: { maxRuns: 0 } }, /^invalid maxRuns 0/],
  [{ cron: '@daily', missed: { within: 1 } }, /^unknown field of missed "within": did you mean withinMs\?$/],
  [{ cron: '@daily', overlap: 'forbid' }, /^invalid overlap "forbid": use one of Allow, Forbid, Replace$/],
  [{ cron: '@daily', options: { delayMs: 1 } }, /^unknown option of a job "delayMs"/],
  [{ cron: '@daily', options: { id: 'x' } }, /^unknown option of a job "id"/],
  [{ cron: '@daily', tak: 'x' }, /^unknown field of a schedule "tak": did you mean task\?$/],
  [{ cron: '@daily', task: 'not a name' }, /^invalid task name "not a name"/],
])('%j is refused, with the field, the value and the remedy', (spec, message) => {
  expect(() => checkSchedule('s', { task: 't', ...(spec as object) } as ScheduleSpec)).toThrow(message)
})

test.each(['', 'a b', 'a@1', 'ä', 'a'.repeat(101)])('%j is refused as the name of a schedule', (name) => {
  expect(() => checkSchedule(name, { task: 't', everyMs: 1_000 })).toThrow(/^invalid name of a schedule/)
})

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'America/Sao_Paulo']
const CRONS = [
  '*/7 * * * *',
  '30 2 * * *',
  '0 */3 * * *',
  '15,45 1-3 * * *',
  '0 0 * * 1',
  '0 0 1 * *',
  '@hourly',
]

test('what is made up for is the newest of what was due since then, and never what was due before', () => {
  const seed = Number(process.env.MILLHAND_SCHEDULES_SEED ?? Date.now() % 2 ** 31)
  const next = randomFrom(seed)
  const below = (most: number) => Math.floor(next() * most)
  for (let round = 0; round < 300; round += 1) {
    const timing: Timing =
      next() < 0.3
        ? { everyMs: 1_000 + below(HOUR) }
        : { cron: CRONS[below(CRONS.length)], timeZone: ZONES[below(ZONES.length)] }
    const withJitter = { ...timing, jitterMs: next() < 0.5 ? below(10 * HOUR) : 0 }
    const began = at('2018-01-01T00:00Z') + below(10 * 366 * 24 * HOUR)
    const first = planAfter('s', withJitter, began)
    const nowMs = (first.fireAtMs ?? 0) + (next() < 0.5 ? 0 : below(3 * 24 * HOUR))
    const [maxRuns, withinMs] = [1 + below(4), 10_000 + below(30 * HOUR)]
    const dueMs = first.nextMs ?? 0
    const plan = planDue('s', { ...withJitter, maxRuns, withinMs }, { dueMs, nowMs })

    const all: number[] = []
    let ms = dueMs
    while (fireAt('s', withJitter, ms) <= nowMs) {
      all.push(ms)
      ms = dueTimes(withJitter, { afterMs: ms, count: 1 })[0] ?? Number.POSITIVE_INFINITY
    }
    const inTime = all.filter((ms) => nowMs - fireAt('s', withJitter, ms) <= withinMs).slice(-maxRuns)
    const told = JSON.stringify({ seed, round, withJitter, dueMs, nowMs, maxRuns, withinMs })
    expect([told, plan.runs.map((run) => run.dueMs)]).toEqual([told, inTime])
    expect([told, plan.nextMs]).toEqual([told, ms])
    expect(plan.fireAtMs).toBeGreaterThan(nowMs)
  }
})

test('jitter depends on name and due time alone, is at most as long as it says, and reaches no other due time', () => {
  const timing = { everyMs: 60_000, jitterMs: 30_000 }
  const dues = dueTimes(timing, { afterMs: at('2026-01-01T00:00Z'), count: 200 })
  const waits = dues.map((ms) => fireAt('a', timing, ms) - ms)
  expect(dues.map((ms) => fireAt('a', timing, ms) - ms)).toEqual(waits)
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000)
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(0)
  expect(new Set(waits).size).toBeGreaterThan(150)
  expect(dues.map((ms) => fireAt('b', timing, ms) - ms)).not.toEqual(waits)
  const wide = { ...timing, jitterMs: 10 * HOUR }
  for (const ms of dues) expect(fireAt('a', wide, ms)).toBeLessThan(ms + 60_000)
})

test.each<[Timing, string]>([
  [{ cron: '0 3 * * *', timeZone: 'Europe/Berlin' }, 'at 03:00 every day, Europe/Berlin'],
  [{ cron: '30 8,17 * * 1-5' }, 'at 08:30, 17:30 Monday to Friday, UTC'],
  [{ cron: '5 8 * * SUN,wed' }, 'at 08:05 on Sunday, Wednesday, UTC'],
  [{ cron: '0 0 * * 7' }, 'at 00:00 on Sunday, UTC'],
  [{ cron: '0 3 1,15 * *' }, 'at 03:00 on day 1, 15 of the month, UTC'],
  [{ cron: '0 3 L * *' }, 'at 03:00 on the last day of the month, UTC'],
  [{ cron: '@daily', timeZone: 'Asia/Kathmandu' }, 'at 00:00 every day, Asia/Kathmandu'],
  [{ cron: '@hourly' }, 'every hour at :00, UTC'],
  [{ cron: '@weekly' }, 'at 00:00 on Sunday, UTC'],
  [{ cron: '* * * * *' }, 'every minute'],
  [{ cron: '*/15 * * * *' }, 'every 15 minutes'],
  [{ cron: '@every 1h30m' }, 'every 1h30m'],
  [{ everyMs: 600_000 }, 'every 10 minutes'],
  [{ everyMs: 86_400_000 }, 'every day'],
  [{ everyMs: 1_500 }, 'every 1500 milliseconds'],
  // Not every 7 minutes: it begins anew with each hour.
  [{ cron: '*/7 * * * *' }, 'cron */7 * * * *, UTC'],
  [{ cron: '0 3 * 6 *' }, 'at 03:00 every day, in June, UTC'],
  [{ cron: '0 3 * jan-mar,6 *' }, 'cron 0 3 * jan-mar,6 *, UTC'],
  [{ cron: '0 3 * jan-mar *' }, 'at 03:00 every day, in January to March, UTC'],
  [{ cron: '@yearly' }, 'at 00:00 on day 1 of the month, in January, UTC'],
  [{ cron: '0 0 13 * 5' }, 'at 00:00 on day 13 of the month or on Friday, UTC'],
  [{ cron: '0 0 13 * 1-5' }, 'at 00:00 on day 13 of the month or Monday to Friday, UTC'],
  [{ cron: '0 */6 * * 0' }, 'at 00:00, 06:00, 12:00, 18:00 on Sunday, UTC'],
  [{ cron: '30 8-12/2,17 * * *' }, 'at 08:30, 10:30, 12:30, 17:30 every day, UTC'],
  [{ cron: '*/5 8-18 * * 1-5' }, 'every 5 minutes from 08:00 to 18:59 Monday to Friday, UTC'],
  [{ cron: '* 9 * * *' }, 'every minute from 09:00 to 09:59 every day, UTC'],
  [{ cron: '*/5 * * * 1-5' }, 'every 5 minutes Monday to Friday, UTC'],
  [{ cron: '*/5 8,12 * * *' }, 'cron */5 8,12 * * *, UTC'],
  [{ cron: '0 7-20 * * *' }, 'cron 0 7-20 * * *, UTC'],
  [{ cron: '1,2 3 * * *' }, 'cron 1,2 3 * * *, UTC'],
  [{ cron: '0 0 15W * *' }, 'cron 0 0 15W * *, UTC'],
  [{ cron: '0 0 * * MON#1' }, 'cron 0 0 * * MON#1, UTC'],
])('%j is told as %j', (timing, text) => {
  expect(whenText(timing)).toBe(text)
})
