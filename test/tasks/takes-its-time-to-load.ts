import { setTimeout as sleep } from 'node:timers/promises'
import { task } from '../../worker-runtime/src/index.ts'

await sleep(5_000)
export const noop = task('noop', () => {})
