// The built pages: small, with nothing inline, with names that change when their content does.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { buildWeb } from '../../../dashboard/web-build.ts'

const KIB = 1_024
const FIRST_LOAD = 60 * KIB
const ALL = 120 * KIB

const out = join(mkdtempSync(join(tmpdir(), 'millhand-web-')), 'web')
beforeAll(() => buildWeb({ out }))
afterAll(() => rmSync(join(out, '..'), { recursive: true }))

const read = (path: string) => readFileSync(join(out, path), 'utf8')
const sizeOf = (path: string) => gzipSync(readFileSync(join(out, path))).length
const sum = (sizes: number[]) => sizes.reduce((total, size) => total + size, 0)
const assets = () => readdirSync(join(out, 'assets')).map((name) => `assets/${name}`)
const inPage = () =>
  [...read('index.html').matchAll(/(?:href|src)="(assets\/[^"]+)"/g)].map((found) => `${found[1]}`)

test('the first load is at most 60 KiB, all that there is at most 120, compressed', () => {
  expect(inPage()).toHaveLength(2)
  // What the first script imports at once is loaded with it.
  const first = [...inPage(), ...importedBy(inPage().find((path) => path.endsWith('.js')) ?? '')]
  expect(sum(['index.html', ...first].map(sizeOf))).toBeLessThanOrEqual(FIRST_LOAD)
  expect(sum(['index.html', ...assets()].map(sizeOf))).toBeLessThanOrEqual(ALL)
})

function importedBy(path: string): string[] {
  const names = [...read(path).matchAll(/(?:from|import)\s*"\.\/([^"]+)"/g)].map(
    (found) => `assets/${found[1]}`,
  )
  return [...new Set(names.flatMap((name) => [name, ...importedBy(name)]))]
}

test('nothing is inline, and every file but the page has a hash in its name', () => {
  const page = read('index.html')
  expect(page).toContain('<base href="/">')
  expect(page.match(/<script(?![^>]*\ssrc=)/g)).toBeNull()
  expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/)
  expect(readdirSync(out).sort()).toEqual(['assets', 'index.html'])
  for (const name of assets()) expect(name).toMatch(/-[A-Z0-9]{8}\.(js|css)$/)
})

test('no source makes HTML of text', () => {
  const web = fileURLToPath(new URL('../../../dashboard/web', import.meta.url))
  const sources = readdirSync(web, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.tsx?$/.test(name),
  )
  const making = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|style="/
  expect(sources.filter((name) => making.test(readFileSync(join(web, name), 'utf8')))).toEqual([])
})

test('it is built again only where a source is newer', async () => {
  const before = read('index.html')
  const lost = assets()[0] ?? ''
  rmSync(join(out, lost))
  await buildWeb({ out })
  expect(assets()).not.toContain(lost)
  await buildWeb({ out, always: true })
  expect(assets()).toContain(lost)
  expect(read('index.html')).toBe(before)
})
