// A module that starts interval when it loads: no process that has done so can be forked.
import { task } from '../../worker-runtime/src/index.ts'

setInterval(() => {}, 1_000)
export const loaded = task('loaded', () => 'loaded')
