// A module that starts thread when it loads: no process that has done so can be forked.

import { Worker } from 'node:worker_threads'
import { task } from '../../worker-runtime/src/index.ts'

new Worker('setInterval(() => {}, 1_000)', { eval: true }).unref()
export const loaded = task('loaded', () => 'loaded')
