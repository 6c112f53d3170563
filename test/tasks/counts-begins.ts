// Counts how often an attempt begins in its process, by what each does first (inside/entry.ts asks for the processor time).
import { setTimeout as sleep } from 'node:timers/promises'
import { definedTasks, task } from '../../worker-runtime/src/task.ts'

let times = 0
const { cpuUsage } = process
process.cpuUsage = ((...since: [NodeJS.CpuUsage?]) => {
  times += 1
  return cpuUsage(...since)
}) as typeof process.cpuUsage

export const begins = task('counts-begins', async () => ({ times, tasks: [...definedTasks().keys()] }))

export const lasts = task('lasts', (ms: number) => sleep(ms))
