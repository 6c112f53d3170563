// docs/isolation-modes.md: its manifest is a WorkerPool, and a worker takes the same settings from the variables of the table.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { readConfig } from '../../worker-runtime/src/config.ts'
import { workerPool } from '../control/resources/crds.ts'

const page = readFileSync(new URL('../../docs/isolation-modes.md', import.meta.url), 'utf8')
const TASKS = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const [, manifest = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
const variables = [...page.matchAll(/^\| `(MILLHAND_\w+)` \| `([\w.]+)` \|$/gm)].map(
  ([, variable = '', path = '']) => ({ variable, path }),
)

test('its manifest is a WorkerPool', () => {
  expect(workerPool(parse(manifest).spec)).toMatchObject({ slots: 16 })
})

test('a worker takes each setting from its variable', () => {
  const { spec } = parse(manifest)
  const at = (path: string) => path.split('.').reduce((value, name) => value?.[name], spec)
  const bytes = (value: unknown) => String(value).replace(/^(\d+)Mi$/, (_, n) => String(Number(n) * 2 ** 20))
  const env = Object.fromEntries(variables.map(({ variable, path }) => [variable, bytes(at(path))]))
  const config = readConfig([TASKS], {
    ...env,
    MILLHAND_REDIS_URL: 'redis://localhost',
    MILLHAND_QUEUES: '[{"name":"mail"}]',
  })
  expect({ slots: config.slots, ...config.isolation }).toEqual({
    slots: 16,
    mode: 'Reuse',
    jobsAtOncePerChild: 8,
    jobsPerChild: 10_000,
    maxMemoryBytes: 512 * 2 ** 20,
  })
})
