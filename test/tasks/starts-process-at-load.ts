// A module that starts process when it loads: no process that has done so can be forked.

import { spawn } from 'node:child_process'
import { task } from '../../worker-runtime/src/index.ts'

spawn('sleep', ['30'], { stdio: 'ignore' }).unref()
export const loaded = task('loaded', () => 'loaded')
