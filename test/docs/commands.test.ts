// docs/commands.md: it names every command, no option that a command does not have, and every variable of a worker.
import { readFileSync } from 'node:fs'
import { millhand, PATIENCE_MS } from '../cli/millhand.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/commands.md')
const commandsPart = page.slice(0, page.indexOf('\n## '))
const WITH_VERBS = /`([a-z]+)`/g

test(
  'it has every command, and of each only options that it has',
  async () => {
    const { stdout } = await millhand(['--help'])
    const list = stdout.slice(stdout.indexOf('Commands:'), stdout.indexOf('Examples:'))
    const commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name)
    expect(commands).toEqual(expect.arrayContaining(['up', 'limit', 'doctor']))
    const rows = commandsPart.split('\n').filter((line) => line.startsWith('| `millhand'))
    const named = rows.map((row) => {
      const [, what = ''] = row.split('|')
      const whole = [...what.matchAll(/millhand ([a-z]+)/g)].map(([, name = '']) => name)
      const verbs = [...what.matchAll(WITH_VERBS)].map(([, name = '']) => name)
      return { row, names: whole[0] === 'schedule' ? whole : [...whole, ...verbs] }
    })
    expect(named.flatMap(({ names }) => names).sort()).toEqual(
      commands.filter((name) => name !== 'help').sort(),
    )
    for (const { row, names } of named) {
      const helps = await Promise.all(names.map((name) => millhand([name, '--help'])))
      const help = helps.map(({ stdout }) => stdout).join('')
      for (const [option] of row.matchAll(/--[a-z-]+/g)) expect(help).toContain(option)
    }
  },
  PATIENCE_MS,
)

test('it has every variable that a worker reads, and no other', () => {
  const sources = ['worker-runtime/src/config.ts', 'worker-runtime/src/redis/address.ts'].map(read).join('')
  const inCode = [...sources.matchAll(/(?:env\.|')(MILLHAND_[A-Z_]+)\b/g)].map(([, name]) => name)
  const part = page.split('\n## ').find((text) => text.startsWith('A worker without manifests')) ?? ''
  const inPage = part
    .split('\n')
    .flatMap((line) => line.match(/^\|[^|]*\|/)?.[0].match(/MILLHAND_[A-Z_]+/g) ?? [])
  expect([...new Set(inPage)].sort()).toEqual([...new Set(inCode)].sort())
})
