// A child that waits for its first job plays the way of an attempt once: nobody hears of it, and the job finds everything as it should be.
import { fileURLToPath } from 'node:url'
import { eventually } from '../../eventually.ts'
import { childrenOf, procText } from '../../processes.ts'
import { resultOf, startTiny } from './tiny-children.ts'

const MODULE = fileURLToPath(new URL('../../tasks/counts-begins.ts', import.meta.url))
const outlast = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a spawned child that waits rehearses, and its job knows nothing of it', async () => {
  const children = await startTiny('Spawn', { slots: 1, modules: [MODULE] })
  const spare = () => childrenOf(process.pid).find((pid) => procText(pid, 'cmdline').includes('spawn-entry'))
  await eventually(spare, { what: 'a spare child is there' })
  await outlast(300)
  const output: string[] = []
  const outcome = await children.perform('counts-begins', null, { onOutput: (_, line) => output.push(line) })
  // The rehearsal's begin and end, and this attempt's begin.
  expect(resultOf(outcome)).toEqual({ times: 3, tasks: ['counts-begins'] })
  expect(output).toEqual([])
  await children.stop()
})

test('what nobody catches in a forked child that has rehearsed is still told as an error of its job', async () => {
  const children = await startTiny('Fork', { slots: 1 })
  await outlast(300)
  expect(await children.perform('uncaught-exception')).toMatchObject({ kind: 'failed' })
  await children.stop()
})
