// Which packages the process that runs a job has loaded, before and after it loads one itself.
import { createRequire } from 'node:module'
import { task } from '../../worker-runtime/src/index.ts'

const { cache } = createRequire(import.meta.url)
const loaded = (name: string) => Object.keys(cache).some((path) => path.includes(`/node_modules/${name}/`))

export const tellsModules = task('tells-modules', async ({ name }: { name: string }) => {
  const before = loaded(name)
  await import(name)
  return { before, after: loaded(name) }
})
