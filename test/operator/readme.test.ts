// operator/README.md names every file that a reader of a reconcile meets.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../operator', import.meta.url))
const readme = readFileSync(`${root}/README.md`, 'utf8')
test('every file of the path of a reconcile is named', () => {
  const files = ['worker-pool', 'reconciling'].flatMap((folder) => readdirSync(`${root}/src/${folder}`))
  expect(files.filter((name) => !readme.includes(name) && name !== 'rates.ts')).toEqual([])
})
