// docs/commands.md names every command and every variable of a worker; no page of docs gives a command an option that it does not have.
import { readdirSync, readFileSync } from 'node:fs'
import { millhand, PATIENCE_MS } from '../cli/millhand.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const page = read('docs/commands.md')
const pages = [
  'README.md',
  ...readdirSync(new URL('docs', root)).flatMap((name) => (name.endsWith('.md') ? `docs/${name}` : [])),
]
let commands: string[]

beforeAll(async () => {
  const { stdout } = await millhand(['--help'])
  const list = stdout.slice(stdout.indexOf('Commands:'), stdout.indexOf('Examples:'))
  commands = [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name)
}, PATIENCE_MS)

test('it has every command, and no other', () => {
  const rows = page.split('\n').filter((line) => line.startsWith('| `millhand'))
  const named = rows.flatMap((row) => {
    const [, what = ''] = row.split('|')
    const whole = [...what.matchAll(/millhand ([a-z]+)/g)].map(([, name = '']) => name)
    const others = [...what.matchAll(/`([a-z]+)`/g)].map(([, name = '']) => name)
    // The words behind it are its own commands.
    return whole[0] === 'schedule' ? whole : [...whole, ...others]
  })
  expect(named.sort()).toEqual(commands.filter((name) => name !== 'help').sort())
})

test(
  'every option behind a command is one of it',
  async () => {
    const SCHEDULE = ['set', 'show', 'run', 'pause', 'resume', 'delete'].map((verb) => `schedule ${verb}`)
    const helpOf = new Map<string, string>()
    for (const command of [...commands, ...SCHEDULE]) {
      const [first = ''] = command.split(' ')
      const { stdout } = await millhand([...command.split(' '), '--help'])
      helpOf.set(first, `${helpOf.get(first) ?? ''}${stdout}`)
    }
    const wrong = pages.flatMap((path) =>
      [...read(path).matchAll(/millhand ([a-z]+)\b([^\n`|]*)/g)].flatMap(
        ([call, command = '', rest = '']) => {
          const help = helpOf.get(command)
          const options = rest.match(/(?<![\w-])--[a-z][a-z-]+/g) ?? []
          return help === undefined || options.every((option) => help.includes(option))
            ? []
            : `${path}: ${call}`
        },
      ),
    )
    expect(wrong).toEqual([])
  },
  3 * PATIENCE_MS,
)

test('it has every variable that a worker reads, and no other', () => {
  const sources = ['worker-runtime/src/config.ts', 'worker-runtime/src/redis/address.ts'].map(read).join('')
  const inCode = [...sources.matchAll(/(?:env\.|')(MILLHAND_[A-Z_]+)\b/g)].map(([, name]) => name)
  const part = page.split('\n## ').find((text) => text.startsWith('A worker without manifests')) ?? ''
  const cells = part.split('\n').flatMap((line) => line.match(/^\|[^|]*\|/)?.[0] ?? [])
  const inPage = cells.flatMap((cell) => cell.match(/MILLHAND_[A-Z_]+/g) ?? [])
  expect([...new Set(inPage)].sort()).toEqual([...new Set(inCode)].sort())
})
