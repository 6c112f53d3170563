// The READMEs of control and operator name every file that a reader of a reconcile meets.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

test.each([
  ['operator', ['fleet']],
  ['control', ['decide', 'engine', 'reconcile', 'redis', 'resources']],
])('every file of the path of a reconcile in %s is named', (part, folders) => {
  const readme = readFileSync(`${root}/${part}/README.md`, 'utf8')
  const files = folders.flatMap((folder) => readdirSync(`${root}/${part}/src/${folder}`))
  expect(files.filter((name) => !readme.includes(name))).toEqual([])
})
