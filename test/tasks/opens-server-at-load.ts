// A module that opens server when it loads: no process that has done so can be forked.

import { createServer } from 'node:net'
import { task } from '../../worker-runtime/src/index.ts'

createServer().listen(0, '127.0.0.1')
export const loaded = task('loaded', () => 'loaded')
