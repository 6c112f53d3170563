// What the loader composes: each script defines every function that it calls, before the call, and none that it does not call.
import { loadScripts } from '../../../worker-runtime/src/queue/scripts.ts'

const OF_LUA = new Set(['tonumber', 'unpack', 'ipairs', 'pairs', 'pcall', 'type', 'next'])
const GROUPS = ['seldom', 'flows', 'limited', 'keyed']
const WORDS = new Set(['function', 'if', 'and', 'or', 'not', 'return', 'while', 'until', 'in', 'elseif'])

/** Without the texts in it. */
const codeOf = (source: string) => source.replaceAll(/'(?:\\.|[^'\\])*'/g, "''")

describe.each(Object.entries(loadScripts()))('the script of %s', (_verb, { source }) => {
  const code = codeOf(source)
  const defined = [...code.matchAll(/\blocal function (\w+)/g)].map(([, name = '']) => name)

  test('defines what it calls, before it does', () => {
    const known = new Set([...OF_LUA, ...WORDS])
    for (const [, isLocal, name = ''] of code.matchAll(/(local function )?(?<![.\w])(\w+) ?\(/g)) {
      if (GROUPS.includes(name) && new RegExp(`^local (\\w+, )*${name}\\b`, 'm').test(code)) continue
      if (isLocal) known.add(name)
      else expect([...known]).toContain(name)
    }
  })

  test.each(GROUPS)('has what it calls of %s, and nothing else is made for it', (group) => {
    const called = new Set(
      [...code.matchAll(new RegExp(`\\b${group}\\(\\)\\.(\\w+)\\(`, 'g'))].map(([, name]) => name),
    )
    const found = new RegExp(`\\bmade_${group} = \\{ (.*) \\}`).exec(code)
    const made = found?.[1]?.matchAll(/(\w+) = \1/g) ?? []
    expect([...made].map(([, name]) => name).sort()).toEqual([...called].sort())
  })

  test('has no function without a use', () => {
    for (const name of defined)
      expect(code.match(new RegExp(`\\b${name}\\b`, 'g'))?.length).toBeGreaterThan(1)
  })
})
