// docs/schedules.md: its program runs, and its table has the fields that there are.
import { readFileSync } from 'node:fs'
import { connect } from 'millhand/client'
import { checkSchedule, type ScheduleSpec } from 'millhand/queue'
import { ownNamespace } from '../cli/millhand.ts'
import { redisUrl } from '../redis.ts'

const page = readFileSync(new URL('../../docs/schedules.md', import.meta.url), 'utf8')
const program = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
const AsyncFunction = (async () => {}).constructor as new (
  ...texts: string[]
) => (...given: unknown[]) => Promise<unknown>

const client = connect({ redis: redisUrl(), namespace: ownNamespace() })
afterAll(() => client.close())

test('the program sets a schedule, runs it and deletes it', async () => {
  const printed: unknown[][] = []
  const console = { log: (...values: unknown[]) => printed.push(values) }
  const id = await new AsyncFunction('client', 'console', `${program}\nreturn id`)(client, console)
  expect(printed).toEqual([['0 8 * * 1-5', 0, undefined]])
  expect(String(id)).toMatch(/^digest:42@\d{13}$/)
  expect(await client.queue('mail').job(String(id)).details()).toMatchObject({
    state: 'ready',
    task: 'digest',
  })
  expect(await client.queue('mail').schedules.get('digest:42')).toBeUndefined()
})

test('the table has the fields that there are, and their defaults', async () => {
  const named = [...page.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, names = '']) =>
    names.split(', ').map((name) => name.slice(1, -1)),
  )
  const refusal = (() => {
    try {
      checkSchedule('s', { nothing: 1 } as unknown as ScheduleSpec)
    } catch (error) {
      return String(error)
    }
  })()
  expect(refusal).toContain(`known are ${named.join(', ')}`)
})
