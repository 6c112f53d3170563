// The README shows the files of docs/getting-started.md, which getting-started.test.ts runs, and two commands, which the example's tests
// run. Of it and of each page in docs/: every link leads somewhere, and every page is in the index.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const blocks = (path: string, language: string) =>
  [...read(path).matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(
    ([, text = '']) => text,
  )
const pages = readdirSync(join(root, 'docs'))
  .filter((name) => name.endsWith('.md'))
  .map((name) => `docs/${name}`)

test('the README shows a manifest and a task that the first page runs', () => {
  for (const language of ['yaml', 'ts']) {
    const shown = blocks('README.md', language)
    expect(shown).toHaveLength(1)
    expect(blocks('docs/getting-started.md', language)).toContain(shown[0])
  }
  expect(blocks('README.md', 'sh')).toEqual(['npm ci\nnpm run demo\n'])
})

test.each(['README.md', ...pages])('%s links only to what exists', (page) => {
  for (const [, link = ''] of read(page).matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    const [path = '', section] = link.split('#')
    const target = path === '' ? page : join(dirname(page), path)
    expect({ link, exists: existsSync(join(root, target)) }).toEqual({ link, exists: true })
    if (section === undefined) continue
    const sections = [...read(target).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
      title
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    )
    expect(sections).toContain(section)
  }
})

test('the index names every page', () => {
  const index = read('docs/README.md')
  const missing = pages.filter((page) => page !== 'docs/README.md' && !index.includes(`(${page.slice(5)})`))
  expect(missing).toEqual([])
})
