import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Reload, watchFiles } from '../../../operator/src/local/reload.ts'
import { eventually } from '../../eventually.ts'
import { folderWith, writeFiles } from './folder.ts'

let reload: Reload | undefined
afterEach(() => reload?.stop())

async function watching(folder: string) {
  const seen = { code: [] as string[][], manifests: [] as string[][] }
  const relative = (files: string[]) => files.map((file) => file.slice(folder.length + 1))
  reload = await watchFiles({
    paths: [folder, join(folder, 'a.yaml')],
    onCode: (files) => seen.code.push(relative(files)),
    onManifests: (files) => seen.manifests.push(relative(files)),
  })
  return seen
}

describe('watching files', () => {
  test('several saves in a moment are one change', async () => {
    const folder = folderWith({ 'tasks.ts': '1' })
    const seen = await watching(folder)
    const names = Array.from({ length: 50 }, (_, at) => `file-${at + 10}.ts`)
    const saved = Object.fromEntries(names.map((name) => [name, '']))
    writeFiles(folder, { 'tasks.ts': '2', 'sub/helper.js': '1', ...saved })
    const all = [...names, 'sub/helper.js', 'tasks.ts']
    const told = () => [...new Set(seen.code.flat())].sort()
    await eventually(() => told().length === all.length, { what: 'a change of all files' })
    expect(told()).toEqual(all)
    // On a busy machine the moment may be cut in two.
    expect(seen.code.length).toBeLessThan(5)
    expect(seen.manifests).toEqual([])
  })

  test('manifests are told from code', async () => {
    const folder = folderWith({ 'a.yaml': '1' })
    const seen = await watching(folder)
    writeFiles(folder, { 'a.yaml': '2' })
    await eventually(() => seen.manifests.length > 0, { what: 'a change of manifests' })
    expect(seen).toEqual({ code: [], manifests: [['a.yaml']] })
  })

  test('a removed file is a change', async () => {
    const folder = folderWith({ 'tasks.ts': '1' })
    const seen = await watching(folder)
    rmSync(join(folder, 'tasks.ts'))
    await eventually(() => seen.code.length > 0, { what: 'a change of code' })
  })

  test('what is no code, in node_modules or in a folder that begins with a dot is left alone', async () => {
    const folder = folderWith({ 'tasks.ts': '1' })
    const seen = await watching(folder)
    writeFiles(folder, {
      'node_modules/x/index.js': '',
      '.millhand/up.json': '{}',
      '.git/x.ts': '',
      'out.png': '',
      'result.json': '{}', // a task may write it
      'notes.md': '',
    })
    writeFiles(folder, { 'z.ts': '' })
    await eventually(() => seen.code.length > 0, { what: 'a change of code' })
    expect(seen.code).toEqual([['z.ts']])
  })
})
