import {
  type AnyTask,
  type Job,
  type TaskInput,
  type TaskName,
  type TaskOutput,
  TerminalError,
  task,
} from '../../worker-runtime/src/index.ts'
import { definedTasks, isTerminal } from '../../worker-runtime/src/task.ts'

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

/** What `queue.enqueue` does with the types. */
function enqueue<T extends AnyTask = AnyTask>(_name: TaskName<T>, _input: TaskInput<T>): void {}

test('a type-only import is enough to enqueue with types', () => {
  enqueue<typeof resize>('resize', { file: 'cat.png', width: 200 })
  enqueue('anything', { of: 'any kind' })
  // @ts-expect-error: the wrong name
  enqueue<typeof resize>('reside', { file: 'cat.png', width: 200 })
  // @ts-expect-error: an input is missing
  enqueue<typeof resize>('resize', { file: 'cat.png' })
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
