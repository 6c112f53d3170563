// The reference that users read is the one that the docstrings make.
import { readFileSync } from 'node:fs'
import { REFERENCE, reference } from '../../../worker-runtime/reference-build.ts'

const page = readFileSync(REFERENCE, 'utf8')

test('docs/client.md is what npm run reference makes', () => {
  expect(page).toBe(reference())
})

test('every export has a docstring, and every function and method of the client too', () => {
  const bare = [...page.matchAll(/^(#{3,4} \w+)\n\n```ts\n.*\n```\n\n(?=#|Source)/gm)].map(
    ([, heading]) => heading,
  )
  expect(bare).toEqual([])
})
