import type { ClientQueue } from 'millhand/client'
import {
  type Job,
  type TaskInput,
  type TaskName,
  type TaskOutput,
  type TaskResult,
  TerminalError,
  task,
} from '../../worker-runtime/src/index.ts'
import { definedTasks, isTerminal } from '../../worker-runtime/src/task.ts'
import type { Received } from '../../worker-runtime/src/through-json.ts'

const resize = task('resize', async ({ file, width }: { file: string; width: number }, job) => {
  await job.progress(0.5)
  return { path: `${file}-${width}` }
})
const tick = task('tick', () => 5)
const takesJob = task('takes-job', async (_: null, job: Job): Promise<string> => job.id)

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <T extends true>(_name: string): T | undefined => undefined

test('the types of a task follow from its function', () => {
  holds<Equal<TaskName<typeof resize>, 'resize'>>('the name is a literal')
  holds<Equal<TaskInput<typeof resize>, { file: string; width: number }>>('the input is the first parameter')
  holds<Equal<TaskOutput<typeof resize>, { path: string }>>('the output is awaited')
  holds<Equal<TaskOutput<typeof tick>, number>>('a task need not be async')
  holds<Equal<TaskInput<typeof tick>, unknown>>('a task need not take anything')
  holds<Equal<TaskInput<typeof takesJob>, null>>('null is an input')
  holds<Equal<TaskOutput<typeof takesJob>, string>>('a declared type counts')
  // @ts-expect-error: the name of a task is text
  holds<Equal<TaskName<typeof resize>, number>>('never')
  // @ts-expect-error: a task is given a function
  expect(() => task('no-function', 'text')).toThrow(/must be a function/)
})

const greets = task('greets', async ({ when }: { when: Date }) => when.getTime())
const counts = task('counts', ({ n = 1 }: { n?: number } = {}) => n)
class Point {
  x = 1
  length() {
    return this.x
  }
}
interface Tree {
  name: string
  of: Tree[]
}
type Mail = {
  to: string | string[]
  cc?: string
  meta: Record<string, unknown>
  tree: Tree
  at: string | Date
}
const mails = task('mails', async (_: Mail) => {})
const pairs = task('pairs', async (_: [number, Date]) => {})
// biome-ignore lint/suspicious/noExplicitAny: what a task may take
const anyThing = task('any-thing', async (input: any) => input)
const odd = task(
  'odd',
  async (_: { map: Map<string, number>; point: Point; big: bigint; run: () => void }) => {},
)

/** Never called: what the compiler says of it is the test. */
async function enqueues(queue: ClientQueue, mail: Mail, tree: Tree): Promise<void> {
  const job = await queue.enqueue<typeof resize>('resize', { file: 'cat.png', width: 200 }, { delayMs: 5 })
  holds<Equal<Awaited<ReturnType<typeof job.result>>, { path: string }>>('the result is the output')
  await queue.enqueue('anything', { of: 'any kind', at: new Date() })
  await queue.enqueue('anything')
  // @ts-expect-error: the wrong name
  await queue.enqueue<typeof resize>('reside', { file: 'cat.png', width: 200 })
  // @ts-expect-error: an input is missing
  await queue.enqueue<typeof resize>('resize', { file: 'cat.png' })
  // @ts-expect-error: the input is missing
  await queue.enqueue<typeof resize>('resize')
  // @ts-expect-error: an unknown option
  await queue.enqueue<typeof resize>('resize', { file: 'cat.png', width: 200 }, { delayMS: 5 })
  // @ts-expect-error: a Date comes through JSON as text
  await queue.enqueue<typeof greets>('greets', { when: new Date() })
  // @ts-expect-error: so does one in a list
  await queue.enqueue<typeof pairs>('pairs', [1, new Date()])
  // @ts-expect-error: and one of several
  await queue.enqueue<typeof mails>('mails', { ...mail, tree, at: new Date() })
  await queue.enqueue<typeof mails>('mails', { to: ['a'], meta: { any: [1] }, tree, at: '2026-11-29' })
  await queue.enqueue<typeof counts>('counts')
  await queue.enqueue<typeof counts>('counts', { n: 2 })
  await queue.enqueue<typeof counts>('counts', undefined, { priority: 'high' })
  await queue.enqueue<typeof anyThing>('any-thing', { at: new Date() })
  await queue.enqueue<typeof tick>('tick')
  // @ts-expect-error: none of them
  await queue.enqueue<typeof odd>('odd', { map: new Map(), point: new Point(), big: 1n, run: () => {} })
  await queue.enqueueMany<typeof counts>([{ task: 'counts' }, { task: 'counts', input: { n: 2 } }])
  // @ts-expect-error: the input is missing
  await queue.enqueueMany<typeof resize>([{ task: 'resize' }])
}

test('a type-only import is enough to enqueue with types', () => expect(enqueues).toBeInstanceOf(Function))

test('a result has the type of what JSON makes of the output', () => {
  holds<Equal<Received<Date>, string>>('toJSON')
  holds<Equal<Received<{ at: Date; n: number }>, { at: string; n: number }>>('in an object')
  holds<Equal<Received<[Date, 'a']>, [string, 'a']>>('in a tuple')
  holds<Equal<Received<Date[]>, string[]>>('in a list')
  holds<Equal<Received<(string | undefined)[]>, (string | null)[]>>('nothing in a list is null')
  holds<Equal<Received<Map<string, Date>>, Record<string, never>>>('a Map is empty')
  holds<Equal<Received<{ a: undefined; b: 1; c: () => void }>, { b: 1 }>>('what is dropped')
  holds<Equal<Received<{ a: string | undefined }>, { a?: string }>>('what may be dropped')
  holds<Equal<Received<Point>, { x: number }>>('a class without its methods')
  holds<Equal<Received<void>, null>>('nothing')
  holds<Equal<Received<string | undefined>, string | null>>('perhaps nothing')
  holds<Equal<Received<unknown>, unknown>>('unknown')
  holds<Equal<Received<bigint>, never>>('what JSON refuses')
  holds<Equal<TaskResult<typeof counts>, number>>('of a task')
  // @ts-expect-error: it is text
  holds<Equal<Received<Date>, Date>>('never')
})

test('a task is known by its name, and its function can be called', async () => {
  expect(definedTasks().get('resize')).toBe(resize)
  expect(tick.run(undefined, {} as Job)).toBe(5)
})

test('two copies of the package see the same tasks', async () => {
  const other = await import('../../worker-runtime/src/task.ts?copy' as string)
  expect(other.task).not.toBe(task)
  other.task('from-the-copy', () => {})
  expect(definedTasks().has('from-the-copy')).toBe(true)
  expect(() => task('from-the-copy', () => {})).toThrow(/defined twice/)
  expect(isTerminal(new other.TerminalError('x'))).toBe(true)
})

test('a second task of the same name is refused', () => {
  expect(() => task('resize', () => {})).toThrow(
    'task "resize" is defined twice; each task needs a name of its own',
  )
})

test.each(['', '-a', '.a', 'a b', 'a/b', 'a'.repeat(101), 'a\n', '../../x', 'ü'])(
  '%p is no name of a task',
  (name) => {
    expect(() => task(name, () => {})).toThrow(/task name/)
  },
)

test.each(['a', 'A.b-c_9', '9', '0'.repeat(100), 'constructor'])('%p is a name of a task', (name) => {
  expect(task(name, () => {}).name).toBe(name)
})

test('a TerminalError is an Error that asks for no more tries', () => {
  const error = new TerminalError('gone', { cause: 1 })
  expect(error).toMatchObject({ name: 'TerminalError', message: 'gone', cause: 1 })
  expect(isTerminal(error)).toBe(true)
  for (const other of [new Error('x'), null, undefined, 'text', {}]) expect(isTerminal(other)).toBe(false)
})
