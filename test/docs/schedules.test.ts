// docs/schedules.md: its program runs, and its table has the fields that there are.
import { readFileSync } from 'node:fs'
import { connect } from 'millhand/client'
import { checkSchedule, type ScheduleSpec } from 'millhand/queue'
import { millhand, ownNamespace } from '../cli/millhand.ts'
import { redisUrl } from '../redis.ts'

const page = readFileSync(new URL('../../docs/schedules.md', import.meta.url), 'utf8')
const program = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
const AsyncFunction = (async () => {}).constructor as new (
  ...texts: string[]
) => (...given: unknown[]) => Promise<unknown>

const namespace = ownNamespace()
const client = connect({ redis: redisUrl(), namespace })
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

test('the commands work, in their order', async () => {
  const commands = /```sh\n([\s\S]*?)```/.exec(page)?.[1]?.trim().split('\n') ?? []
  expect(commands).toHaveLength(7)
  for (const command of commands) {
    const words = [...command.replace(/ +#.*$/, '').matchAll(/'([^']*)'|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? '',
    )
    const ran = await millhand([...words.slice(1), '--redis', redisUrl(), '--namespace', namespace])
    expect([command, ran.code, ran.stderr]).toEqual([
      command,
      0,
      expect.stringMatching(/^(note: there was no queue .*\n)?$/),
    ])
  }
}, 120_000)

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
