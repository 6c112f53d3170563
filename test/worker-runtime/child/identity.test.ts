// Forks are copies: of the ids, the random numbers, the descriptors and the listeners of the process that loaded the modules. What must
// be a child's own is, or Fork is refused and the reason names the module.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import type { ChildSettings } from '../../../worker-runtime/src/child/children.ts'
import { silent } from '../../../worker-runtime/src/log.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { resultOf, startTiny } from './tiny-children.ts'

jest.setTimeout(120_000) // real processes, on a machine that may be busy

const MILLHAND = fileURLToPath(new URL('../../../worker-runtime/src/index.ts', import.meta.url))
const TASKS = fileURLToPath(new URL('../../tasks', import.meta.url))
const JOBS = 12

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** Writes files into the folder; answers the path of the first. */
function written(files: Record<string, string>): string {
  const [first = ''] = Object.keys(files)
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text.replace("from 'millhand'", `from '${MILLHAND}'`))
  }
  return join(folder, first)
}

/** Runs the task of a module in many children; how they came to be, and all results. */
async function run(
  module: string,
  mode: 'Fork' | 'Reuse',
  settings: Partial<ChildSettings> & { input?: unknown } = {},
) {
  const { input, ...rest } = settings
  const tiny = await startTiny(mode, { modules: [module], slots: 4, ...rest })
  const name = tiny.tasks[0] ?? ''
  const results = await Promise.all(
    Array.from({ length: JOBS }, async () => resultOf(await tiny.perform(name, input))),
  )
  await tiny.stop()
  return { mode: tiny.mode, note: tiny.note, results, different: new Set(results.flat()).size }
}

describe('the ids of jobs that children enqueue', () => {
  test.each([
    ['Fork', false],
    ['Fork', true],
    ['Reuse', true],
  ] as const)('%s: each its own, with a clock that stands still (%p) too', async (mode, isFrozen) => {
    const queue = `identity-${mode.toLowerCase()}-${isFrozen}`
    const input = { redis: redisUrl(), queue, isFrozen }
    const { results, ...how } = await run(join(TASKS, 'enqueues.ts'), mode, { input, jobsPerChild: 3 })
    const answers = results as [id: string, enqueued: string][]
    expect(how).toMatchObject({ mode, note: '' })
    expect(new Set(answers.map(([id]) => id)).size).toBe(JOBS)
    expect(answers.map(([, enqueued]) => enqueued)).toEqual(Array(JOBS).fill('created'))
  })
})

/** By the name of a package, what it does when it loads. */
const DRAWS: Record<string, string> = {
  web: 'crypto.getRandomValues(new Uint8Array(8))',
  'web-imported': "import { webcrypto } from 'node:crypto'; webcrypto.getRandomValues(new Uint8Array(8))",
  'values-imported': "import { getRandomValues } from 'node:crypto'; getRandomValues(new Uint8Array(8))",
  'web-uuid': 'crypto.randomUUID()',
  'web-key': "await crypto.subtle.generateKey({ name: 'AES-GCM', length: 128 }, true, ['encrypt'])",
  math: 'Math.random()',
  'math-kept': 'const { random } = Math; random()',
  'math-of-a-context': "import vm from 'node:vm'; vm.runInNewContext('Math.random()')",
  bytes: "import { randomBytes } from 'node:crypto'; randomBytes(8)",
  'bytes-later':
    "import { randomBytes } from 'node:crypto'; await new Promise((then) => randomBytes(8, then))",
  'bytes-required':
    "import { createRequire } from 'node:module'; createRequire(import.meta.url)('crypto').randomBytes(8)",
  fill: "import { randomFillSync } from 'node:crypto'; randomFillSync(Buffer.alloc(8), 4)",
  'fill-later': "import { randomFill } from 'node:crypto'; randomFill(Buffer.alloc(8), () => {})",
  uuid: "import { randomUUID } from 'node:crypto'; randomUUID()",
  int: "import { randomInt } from 'node:crypto'; randomInt(5)",
  key: "import { generateKeySync } from 'node:crypto'; generateKeySync('hmac', { length: 128 })",
  prime: "import { generatePrimeSync } from 'node:crypto'; generatePrimeSync(16)",
  curve: "import { createECDH } from 'node:crypto'; createECDH('prime256v1').generateKeys()",
  pair: `import { generateKeyPair } from 'node:crypto'
         import { promisify } from 'node:util'
         if (!(await promisify(generateKeyPair)('ed25519')).privateKey) throw new Error('promisified wrongly')`,
  pid: 'process.pid',
  '@scoped/later': 'await null; Math.random()',
}

test('every way to draw a random number, a key or the pid at load is noticed, with the package that did', () => {
  const child = (name: string) =>
    fileURLToPath(new URL(`../../../worker-runtime/src/child/source/fork/${name}.ts`, import.meta.url))
  const packages = Object.keys(DRAWS)
  const main = written({
    'main.mjs': `import '${child('zygote-first')}'
      import { drawnAtLoad } from '${child('drawn')}'
      for (const name of ${JSON.stringify(packages)}) await import(name)
      console.log(JSON.stringify(drawnAtLoad()))`,
    ...Object.fromEntries(
      Object.entries(DRAWS).flatMap(([name, text]) => [
        [`node_modules/${name}/index.mjs`, text],
        [`node_modules/${name}/package.json`, '{"exports":"./index.mjs"}'],
      ]),
    ),
  })
  const { stdout, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', main], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect((JSON.parse(stdout) as string[]).map((draw) => draw.split(' ')[0])).toEqual(packages)
})

describe('a package that has drawn random values when it loaded', () => {
  /** Like nanoid 5: it fills a pool at the first call, and hands out what is in it. */
  const pool = {
    'tasks.mjs': `import { id } from 'pool'
      import { task } from 'millhand'
      const atLoad = id()
      task('ids', () => id())`,
    'node_modules/pool/package.json': '{"exports":"./index.mjs"}',
    'node_modules/pool/index.mjs': `let pool, at = 0
      export function id() {
        if (!pool || at === pool.length) { pool = crypto.getRandomValues(Buffer.allocUnsafe(1024)); at = 0 }
        return pool.toString('hex', at, (at += 16))
      }`,
  }

  test.each(['Fork', 'Reuse'] as const)('is no reason for two equal ids (%s)', async (mode) => {
    expect(await run(written(pool), mode, { jobsPerChild: 1 })).toMatchObject({ different: JOBS })
  })

  test('is named, with the line that made it draw, and Spawn takes the place of Fork', async () => {
    const tiny = await startTiny('Fork', { modules: [written(pool)] })
    await tiny.stop()
    expect(tiny.mode).toBe('Spawn')
    expect(tiny.note).toContain(`pool (getRandomValues, at ${join(folder, 'tasks.mjs')}:3)`)
  })

  test('may be shared where the user says so; a pool is drawn anew in each child all the same', async () => {
    const how = await run(written(pool), 'Fork', { forkShares: ['pool'] })
    expect(how).toMatchObject({ mode: 'Fork', note: '', different: JOBS })
  })

  test.each<[string, Record<string, string>]>([
    [
      'a generator that was seeded (as of faker)',
      {
        'tasks.mjs': `import { next } from 'seeded'
          import { task } from 'millhand'
          task('ids', () => next())`,
        'node_modules/seeded/index.mjs': `let seed = Math.floor(Math.random() * 2 ** 32)
          export const next = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0)`,
      },
    ],
    [
      'a name of the process that was made of its pid (as of uniqid)',
      {
        'tasks.mjs': `import { next } from 'pid-id'
          import { task } from 'millhand'
          task('ids', () => next())`,
        'node_modules/pid-id/index.mjs': `const name = process.pid.toString(36)
          let count = 0
          export const next = () => name + '-' + (count += 1)`,
      },
    ],
    [
      'half an id that was drawn in the tasks’ own module',
      {
        'tasks.mjs': `import { randomUUID } from 'node:crypto'
          import { task } from 'millhand'
          const instance = randomUUID()
          let count = 0
          task('ids', () => instance + (count += 1))`,
      },
    ],
  ])('keeps children from being forked for %s', async (_, files) => {
    const names = Object.keys(files).filter((name) => name.startsWith('node_modules/'))
    const manifests = names.map((name) => [`${dirname(name)}/package.json`, '{"exports":"./index.mjs"}'])
    const module = written({ ...files, ...Object.fromEntries(manifests) })
    const { mode, note, different } = await run(module, 'Fork')
    expect(mode).toBe('Spawn')
    expect(note).toContain('drew random values')
    expect(different).toBe(JOBS)
  })

  test('is none of those whose draws make no identity, and a line of the user’s may log the pid', async () => {
    const module = written({
      'tasks.mjs': `import { mark } from 'redux'
        import { task } from 'millhand'
        console.log('loaded by', process.pid, mark)
        task('pids', () => process.pid)`,
      'node_modules/redux/package.json': '{"exports":"./index.mjs"}',
      'node_modules/redux/index.mjs': 'export const mark = Math.random().toString(36)',
    })
    expect(await run(module, 'Fork')).toMatchObject({ mode: 'Fork', note: '', different: JOBS })
  })

  test('is noticed too when NODE_OPTIONS has loaded it, which the programs of a job see as it was', async () => {
    const preload = written({ 'preload.cjs': 'globalThis.preloaded = Math.random()' })
    const module = written({
      'tasks.mjs': `import { execFileSync } from 'node:child_process'
        import { task } from 'millhand'
        task('options', () => execFileSync('sh', ['-c', 'echo $NODE_OPTIONS'], { encoding: 'utf8' }).trim())`,
    })
    const env = { PATH: '/usr/bin:/bin', NODE_OPTIONS: `--require ${preload}` }
    expect((await run(module, 'Fork', { env })).note).toContain(`${preload} (random, at ${preload}:1)`)
    const { mode, results } = await run(module, 'Fork', { env, forkShares: [preload] })
    expect([mode, ...new Set(results)]).toEqual(['Fork', env.NODE_OPTIONS])
  })

  test('has in each context of node:vm random numbers that no other child has', async () => {
    const module = written({
      'tasks.mjs': `import vm, { createContext, Script } from 'node:vm'
        import { task } from 'millhand'
        const made = createContext({})
        const code = 'Math.random()'
        task('randoms', () => [
          vm.runInContext(code, made),
          vm.runInNewContext(code),
          new Script(code).runInNewContext({}, { contextName: 'named' }),
          vm.runInContext(code, createContext()),
        ])`,
    })
    expect(await run(module, 'Fork')).toMatchObject({ mode: 'Fork', different: 4 * JOBS })
  })
})

describe('exit listeners of modules', () => {
  /** Makes a folder when it loads, and removes it when its process ends. */
  const keepsFolder = (listen: string) => `import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
    import { createRequire } from 'node:module'
    import { task } from 'millhand'
    const made = '${folder}/made'
    mkdirSync(made, { recursive: true })
    const remove = () => rmSync(made, { recursive: true })
    const require = createRequire('${import.meta.url}')
    ${listen}
    task('writes', () => writeFileSync(made + '/' + process.pid, ''))`

  test.each([
    ['Fork', "process.on('exit', remove)"],
    ['Reuse', "process.once('exit', remove)"],
    ['Fork', "process.prependListener('beforeExit', remove)"],
    ['Fork', "require('signal-exit')(remove)"],
    [
      'Fork',
      "require(require.resolve('signal-exit', { paths: [require.resolve('write-file-atomic')] })).onExit(remove)",
    ],
  ] as const)(
    '%s, %s: not in its children; when the zygote ends, those for exit run',
    async (mode, listen) => {
      const module = written({ 'tasks.mjs': keepsFolder(listen) })
      const said: unknown[] = []
      const log = { ...silent, info: (message: string, facts?: object) => said.push({ message, ...facts }) }
      const tiny = await startTiny(mode, { modules: [module], slots: 4, jobsPerChild: 3, log })
      const outcomes = await Promise.all(Array.from({ length: JOBS }, () => tiny.perform('writes')))
      expect(outcomes.filter(({ kind }) => kind !== 'succeeded')).toEqual([])
      expect(existsSync(join(folder, 'made'))).toBe(true)
      await tiny.stop()
      expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode, note: '' })
      expect(existsSync(join(folder, 'made'))).toBe(listen.includes('beforeExit'))
      expect(said).toContainEqual(
        expect.objectContaining({
          message: 'exit listeners of modules run when the zygote ends, and not in its children',
          modules: [listen.includes('signal-exit') ? 'signal-exit' : module],
        }),
      )
    },
  )

  test('those that a job adds run in its child, of signal-exit too', async () => {
    const module = written({
      'tasks.mjs': `import { appendFileSync } from 'node:fs'
        import { createRequire } from 'node:module'
        import { task } from 'millhand'
        const onExit = createRequire('${import.meta.url}')('signal-exit')
        const say = (word) => () => appendFileSync('${folder}/said', word + ' ')
        onExit(say('of the module'))
        task('listens', () => {
          process.on('exit', say('listener'))
          onExit(say('signal-exit'))
        })`,
    })
    const tiny = await startTiny('Fork', { modules: [module] })
    await tiny.perform('listens')
    // The outcome is told at the result; the process ends a moment later.
    const said = () => (existsSync(join(folder, 'said')) ? readFileSync(join(folder, 'said'), 'utf8') : '')
    await eventually(() => said() === 'listener signal-exit ', { what: 'both listeners have run' })
    await tiny.stop()
  })
})

describe('a file that a module has open when it has loaded', () => {
  const opens = (flags: string) =>
    written({
      'tasks.mjs': `import { openSync, readFileSync } from 'node:fs'
        import { task } from 'millhand'
        openSync('${folder}/data', '${flags}')
        task('loaded', () => process.pid)`,
      data: 'one\ntwo\n',
    })

  test.each(['r', 'a+'])(
    'with a position that all children would move (%s) is a reason for Spawn',
    async (flags) => {
      const { mode, note } = await run(opens(flags), 'Fork')
      expect(mode).toBe('Spawn')
      expect(note).toMatch(`a file (${folder}/data, descriptor `)
    },
  )

  test('to append to it, as a log, is none; nor is one that the user lets them share', async () => {
    expect(await run(opens('a'), 'Fork')).toMatchObject({ mode: 'Fork', note: '' })
    const forkShares = [join(folder, 'data')]
    expect(await run(opens('r'), 'Fork', { forkShares })).toMatchObject({ mode: 'Fork', note: '' })
  })
})

describe('a self-test of forks', () => {
  /** In `times` self-tests one of the children kills this process, in the middle of what it tries out. */
  const killing = (victim: 'process.ppid' | 'process.pid', times: number) => `
    import crypto from 'node:crypto'
    import { closeSync, openSync, readdirSync } from 'node:fs'
    import { task } from 'millhand'
    const { pbkdf2 } = crypto
    const killed = () => readdirSync('${folder}').filter((name) => name.startsWith('killed-')).length
    crypto.pbkdf2 = (...call) => {
      if (killed() < ${times}) {
        try {
          closeSync(openSync('${folder}/killed-' + process.ppid, 'wx'))
          process.kill(${victim}, 'SIGKILL')
        } catch {} // another child of this self-test was first
      }
      return pbkdf2(...call)
    }
    task('loaded', () => 'loaded')`
  const start = async (module: string) => {
    const said: string[] = []
    const log = { ...silent, warn: (message: string) => said.push(message) }
    const tiny = await startTiny('Fork', { log, modules: [written({ 'tasks.mjs': module })] })
    await tiny.stop()
    return { mode: tiny.mode, note: tiny.note, said }
  }
  const again = 'the self-test of a zygote had an accident; it is tried again'

  test.each([
    ['zygote', 'process.ppid'],
    ['child', 'process.pid'],
  ] as const)('in which the %s is killed is done again', async (_, victim) => {
    expect(await start(killing(victim, 2))).toEqual({ mode: 'Fork', note: '', said: [again, again] })
  })

  test('that somebody ends again and again is not done for ever', async () => {
    const { mode, note } = await start(killing('process.ppid', 1_000))
    expect(mode).toBe('Spawn')
    expect(note).toMatch(/in its self-test .* was killed by SIGKILL.*, 4 times/)
  })
})
