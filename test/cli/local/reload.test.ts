import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Reload, watchFiles } from '../../../cli/src/local/reload.ts'
import { eventually } from '../../eventually.ts'
import { folderWith, writeFiles } from './folder.ts'

let reload: Reload | undefined
afterEach(() => reload?.stop())

async function watching(folder: string) {
  const seen = { code: [] as string[][], manifests: [] as string[][], troubles: [] as string[] }
  const relative = (files: string[]) => files.map((file) => file.slice(folder.length + 1))
  reload = await watchFiles({
    paths: [folder, join(folder, 'a.yaml')],
    onCode: (files) => seen.code.push(relative(files)),
    onManifests: (files) => seen.manifests.push(relative(files)),
    onTrouble: (message) => seen.troubles.push(message),
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
    expect(seen).toEqual({ code: [], manifests: [['a.yaml']], troubles: [] })
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

  test('a folder that may not be read is named, and the rest is watched', async () => {
    const folder = folderWith({ 'tasks.ts': '1' })
    const closed = join(folder, 'closed')
    mkdirSync(closed)
    chmodSync(closed, 0)
    const watching = watchingWith('true', folder)
    await watching.says('watching')
    writeFiles(folder, { 'tasks.ts': '2' })
    expect(await watching.says('saved')).toContain(
      `${closed} cannot be watched (EACCES): what is saved there`,
    )
    await watching.end()
    chmodSync(closed, 0o700)
  })

  test('a limit of the system on watches is named once, and ends nothing', async () => {
    const folder = folderWith({ 'a/tasks.ts': '1', 'b/tasks.ts': '1', 'c/tasks.ts': '1' })
    const watching = watchingWith('echo 2 > /proc/sys/user/max_inotify_watches', folder)
    expect((await watching.says('watching')).match(/limit .*/g)).toEqual([
      'limit fs.inotify.max_user_watches is reached; raise it, or start with --no-reload',
    ])
    await watching.end()
  })
})

/** In a user namespace: without the rights of root over files, and with limits of its own. */
function watchingWith(first: string, folder: string) {
  const file = fileURLToPath(new URL('owns-a-watch.ts', import.meta.url))
  const script = `${first}; exec "$0" --conditions=millhand-source ${file} ${folder}`
  const map = first === 'true' ? [] : ['--map-root-user']
  const child = spawn('unshare', ['--user', ...map, 'sh', '-c', script, process.execPath], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk) => (said += chunk))
  const exited = once(child, 'exit')
  return {
    says: (text: string) => eventually(() => (said.includes(text) ? said : undefined), { what: text }),
    async end() {
      child.stdin.end()
      expect(await exited).toEqual([0, null])
    },
  }
}
