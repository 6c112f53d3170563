// docs/top.md: its commands run, its views can be gone to, and every key of it is one of millhand top.
import { readFileSync } from 'node:fs'
import { PLACES } from '../../cli/src/top/go-to.ts'
import { millhand } from '../cli/millhand.ts'
import { redisUrl } from '../redis.ts'

const page = readFileSync(new URL('../../docs/top.md', import.meta.url), 'utf8')
const commands = [...page.matchAll(/^millhand (.*?)(?: +#.*)?$/gm)].map(([, args = '']) => args.split(' '))
const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: 'docs-top' }

test('the page has commands', () => expect(commands.length).toBeGreaterThan(4))

test.each(commands)('millhand %s %s %s %s', async (...args) => {
  const { code, stdout, stderr } = await millhand(args.filter(Boolean), { env })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(args.includes('--json') ? /^\[/ : /^\d+ queues?: /)
})

test('it names every view, with its alias', () => {
  for (const { name, alias } of PLACES) {
    expect(page).toMatch(new RegExp(`^\\| ${name} \\|.*:${name}\\b.*\`:${alias}\` \\|$`, 'm'))
  }
})
