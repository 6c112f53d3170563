// The layout in Redis is a contract: the page that describes it and the scripts say the same.
import { readdirSync, readFileSync } from 'node:fs'
import { queueName } from 'millhand/queue'

const at = (path: string) => new URL(`../../../worker-runtime/${path}`, import.meta.url)

test('the scripts use no other keys than those in the table of the README, and all of these', () => {
  const readme = readFileSync(at('README.md'), 'utf8')
  const table = /<!-- keys -->\n([\s\S]*?)\n<!-- \/keys -->/.exec(readme)?.[1] ?? ''
  const known = [...table.matchAll(/^\| `([^<`]+)/gm)].map(([, name = '']) => name)
  const used = new Set<string>()
  for (const name of readdirSync(at('src/queue/lua')))
    for (const [, key = ''] of readFileSync(at(`src/queue/lua/${name}`), 'utf8').matchAll(
      /[QC] \.\. '([^']+)'/g,
    ))
      used.add(key)
  // `Q .. state` in job.lua and jobs.lua names delayed and buried.
  expect([...used].sort()).toEqual([...new Set(known)].sort())
})

test.each(['', 'Ab', 'a b', 'a{b', 'a'.repeat(128), 'a\n'])(
  '%j is refused as part of the name of a queue',
  (name) => {
    expect(() => queueName('', name)).toThrow(/invalid queue name/)
    expect(() => queueName('default', name === '' ? '}' : name)).toThrow(/invalid queue name/)
  },
)
