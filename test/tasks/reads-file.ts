// A task that looks where it should not.
import { readFileSync } from 'node:fs'
import { task } from '../../worker-runtime/src/index.ts'

export const readsFile = task('reads-file', ({ path }: { path: string }) => {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
})
