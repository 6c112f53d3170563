// A worker without a queue: starts the jobs of its command line in children and waits to be killed.
import { startTiny } from './tiny-children.ts'

const [mode, jobs = '[]'] = process.argv.slice(2)
const list: [task: string, input: object][] = JSON.parse(jobs)
const tiny = await startTiny(mode === 'Reuse' || mode === 'Fork' ? mode : 'Spawn', { slots: list.length + 1 })
for (const [task, input] of list) tiny.begin(task, input)
