// Counts how often an attempt begins in its process, by what each does first (inside/entry.ts asks for the processor time).
import { definedTasks, task } from '../../worker-runtime/src/task.ts'

let times = 0
const { cpuUsage } = process
process.cpuUsage = ((...since: [NodeJS.CpuUsage?]) => {
  times += 1
  return cpuUsage(...since)
}) as typeof process.cpuUsage

export const begins = task('counts-begins', async () => ({ times, tasks: [...definedTasks().keys()] }))
