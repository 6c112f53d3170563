// docs/access.md against the chart, the parsers and the code: every block of it is taken by what it is for.

import { readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { READS, RESOURCES, WRITES } from '../../dashboard/src/server/access/access.ts'
import { parseTokens } from '../../dashboard/src/server/access/token-file.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { one, type Resource, render, type Values } from '../charts/chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const page = readFileSync(new URL('../../docs/access.md', import.meta.url), 'utf8')
const blocks = (kind: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${kind}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text = '']) => text)

test.each(blocks('yaml').filter((text) => text.startsWith('# values')))(
  'these values are taken by the chart: %s',
  async (text) => {
    expect(one(await render(parse(text) as Values), 'Service', '-dashboard').metadata.name).toBe(
      'millhand-dashboard',
    )
  },
)

test('the lines of tokens are lines of tokens', () => {
  const [lines = ''] = blocks('text')
  expect(
    parseTokens(lines).map(({ name, isWriter, namespaces }) => ({ name, isWriter, namespaces })),
  ).toEqual([
    { name: 'ci', isWriter: true, namespaces: ['shop', 'reports'] },
    { name: 'wall', isWriter: false, namespaces: undefined },
  ])
})

const told = page
  .split('\n')
  .flatMap((line) => {
    const [, names, verbs] = /^\| (`[^|]+`) \| ([a-z, ]+) \|/.exec(line) ?? []
    return names && verbs && !names.includes('kubernetes')
      ? [{ name: names.replaceAll('`', ''), verbs: verbs.split(', ') }]
      : []
  })
  .filter(({ name }) => RESOURCES.some((known) => known === name))

test('every permission that a route asks for is in the table', () => {
  const listed = told.flatMap(({ name, verbs }) => verbs.map((verb) => `${verb} ${name}`))
  const asked = routes.flatMap(({ permission }) =>
    permission === 'none' ? [] : [`${permission.verb} ${permission.resource}`],
  )
  expect(asked.filter((permission) => !listed.includes(permission))).toEqual([])
})

test('the role has resources and verbs that there are', () => {
  const role = parse(blocks('yaml').find((text) => text.includes('kind: Role')) ?? '') as Resource
  const known: readonly string[] = [...RESOURCES, ...READS, ...WRITES]
  const rules = role.rules as { resources: string[]; verbs: string[] }[]
  const used = rules.flatMap(({ resources, verbs }) => [...resources, ...verbs])
  expect(used.filter((word) => !known.includes(word))).toEqual([])
})

test('the Service, its port and the key of each Secret are those of the chart', async () => {
  const text = JSON.stringify(
    await Promise.all([
      render({ dashboard: { enabled: true, mode: 'token', token: { secretName: 'millhand-tokens' } } }),
      render({
        dashboard: {
          enabled: true,
          mode: 'proxy',
          proxy: { secretName: 'millhand-proxy', networks: ['10.20.0.0/16'] },
        },
      }),
    ]),
  )
  for (const [, key] of page.matchAll(/--from-(?:literal|file)=([a-z-]+)/g))
    expect(text).toContain(`"items":[{"key":"${key}"`)
  expect(page).toContain('port-forward service/millhand-dashboard 8081:80')
  expect(text).toContain('"ports":[{"name":"http","port":80,"targetPort":"dashboard"}]')
})
