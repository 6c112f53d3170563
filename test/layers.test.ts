// Who may import whom, and which names stand in which files only.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

interface Source {
  path: string
  text: string
  imports: string[]
}

function sourcesOf(folder: string): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(?<!\.d)\.tsx?$/.test(name))
    .map((name) => {
      const path = join(folder, name)
      const text = readFileSync(join(root, path), 'utf8')
      const found = [
        ...text.matchAll(
          /(?:^|\n)(?:import|export)\s[^'"]*?from\s+'([^']+)'|import\(\s*'([^']+)'|\nimport '([^']+)'/g,
        ),
      ]
      const imports = found.map(([, a, b, c]) => a ?? b ?? c ?? '').map((target) => fileOf(target, path))
      return { path, text: withoutComments(text), imports }
    })
}

/** A module of control/ or dashboard/ is a file of its sources, from wherever it is imported. */
function fileOf(target: string, from: string): string {
  if (target.startsWith('.')) return relative(root, join(root, dirname(from), target))
  return target.replace(/^@millhand\/(control|dashboard)\/(.*)$/, '$1/src/$2.ts')
}

const withoutComments = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
const sources = [
  ...['worker-runtime', 'control', 'dashboard', 'operator', 'cli'].map((name) => `${name}/src`),
  'dashboard/web',
].flatMap(sourcesOf)
const runtime = 'worker-runtime/src'

/** A file whose path matches `from` may import of the paths that match `among` only those that match `only`. */
const walls: { from: RegExp; among: RegExp; only: RegExp; because: string }[] = [
  {
    from: /^worker-runtime\/src\/redis\//,
    among: /^worker-runtime/,
    only: /src\/(redis\/|(deadline|errors|options)\.ts)/,
    because: 'redis/ knows no queue',
  },
  {
    from: /^worker-runtime\/src\/queue\//,
    among: /^worker-runtime/,
    only: /src\/(queue\/|redis\/|(job|job-id|log|deadline|errors|fingerprint|nearest|options)\.ts)/,
    because: 'queue/ knows jobs and Redis, nothing else',
  },
  {
    from: /^worker-runtime\/src\/doctor\//,
    among: /^worker-runtime/,
    only: /src\/(doctor\/|redis\/|queue\/|(errors|options)\.ts)/,
    because: 'doctor/ looks at Redis, and is on the path of no job',
  },
  {
    from: /^worker-runtime\/src\/child\//,
    among: /^worker-runtime/,
    only: /src\/(child\/|(log|config|around|scheduled-run|task|hand-over|retry-after|deadline|errors|turnover)\.ts)/,
    because: 'child/ knows processes, nothing else',
  },
  {
    from: /^worker-runtime\/src\/child\/(inside\/|descendants|source\/(spawn-entry|fork\/(zygote-entry|zygote-first|caller|drawn|exit-listeners|left-open|probe|randomness)))/,
    among: /^worker-runtime/,
    only: /child\/(inside\/|(descendants|frames|messages)\.ts|source\/fork\/(zygote-first|caller|drawn|exit-listeners|left-open|native|probe|randomness)\.ts)|src\/(errors|around|scheduled-run|task|hand-over|retry-after|turnover)\.ts/,
    because: 'what runs in a child knows the messages and the tasks',
  },
  {
    from: /^worker-runtime\/src\/(errors|fingerprint|job|tags|headers|unique|log|config|task|worker\/settlement)\.ts$/,
    among: /^worker-runtime/,
    only: /src\/(errors|fingerprint|job|job-id|tags|headers|enqueued-by-tasks|scheduled-run|through-json|unique|options|child\/outcome|queue\/(hold|settings)|redis\/address|config|log)\.ts/,
    because: 'what decides is pure',
  },
  {
    from: /^worker-runtime\/src\/(client\/|index\.ts)/,
    among: /^worker-runtime/,
    only: /src\/(client\/|queue\/|redis\/|(job|options|around|enqueued-by-tasks|scheduled-run|task|through-json|hand-over|retry-after|config|deadline|errors)\.ts)/,
    because: 'the client starts no processes',
  },
  {
    from: /^worker-runtime/,
    among: /^(@millhand|control|dashboard|operator|cli|\.\.)/,
    only: /^$/,
    because: 'worker-runtime knows nobody',
  },
  {
    from: /^control/,
    among:
      /^(millhand|worker-runtime|dashboard|operator|cli|@millhand|@kubernetes|node:(child_process|http|https))/,
    only: /^millhand\/(queue|doctor)$/,
    because:
      'control/ knows neither an API server nor processes: of millhand only queues, and what is wrong with a Redis',
  },
  {
    from: /^control\/src\/engine\//,
    among: /^(control|millhand)/,
    only: /^control\/src\/engine\/|^millhand\/queue$/,
    because: 'engine/ knows neither queues nor pools: of millhand/queue only the log',
  },
  {
    from: /^control\/src\/resources\/(?!schemas\.ts$)/,
    among: /^(control|node:)/,
    only: /^control\/src\/resources\//,
    because: 'resources are pure: only the CRDs, which come with the code, are read',
  },
  {
    from: /^control\/src\/(decide\/|world\.ts$)/,
    among: /^(control|node:)/,
    only: /^control\/src\/(decide|resources|world\.ts$|redis\/(problems|view))/,
    because: 'decisions are pure: what Redis said is data',
  },
  {
    from: /^control\/src\/redis\//,
    among: /^control/,
    only: /^control\/src\/(redis\/|engine\/(fence|remembered)\.ts|decide\/(rates|replicas)\.ts|resources\/reasons\.ts)/,
    because: 'redis/ knows queues and reasons, and neither kinds of resources nor who asks',
  },
  {
    from: /^dashboard\/src\//,
    among: /^(millhand|worker-runtime|operator|cli|@millhand|@kubernetes|node:(child_process))/,
    only: /^millhand\/queue$/,
    because: 'the dashboard knows queues and what control/ says of them: no API server, no processes',
  },
  {
    from: /^dashboard\/src\/(api\/.*|api|schema)\.ts$/,
    among: /./,
    only: /^dashboard\/src\/(api\/.*|api|schema)\.ts$/,
    because: 'the types of the API are for browsers too',
  },
  {
    from: /^operator/,
    among: /^(millhand|worker-runtime|cli|dashboard|@millhand)/,
    only: /^millhand\/(queue|doctor)$|^dashboard\/src\/server\//,
    because:
      'the operator knows only control/, millhand/queue, what is wrong with a Redis, and the dashboard’s server',
  },
  {
    from: /^operator\/src\/kube\//,
    among: /^(operator|control|millhand)/,
    only: /^operator\/src\/kube\/|^control\/src\/(engine\/(backoff|fence)|redis\/secrets|resources\/(metadata|schemas)|world)\.ts$|^millhand\/queue$/,
    because:
      'kube/ knows the API server, names of kinds and Events, nothing of queues or pools: of millhand/queue only the log',
  },
  {
    from: /^control\/src\/reconcile\/\w+/,
    among: /^control\/src\/reconcile\//,
    only: /^control\/src\/reconcile\/(observe-pool|declared-queue|orphans)\.ts$/,
    because: 'controllers do not know each other',
  },
  {
    from: /^operator\/src\/fleet\/(?!kube-fleet\.ts$)/,
    among: /^(operator|control|node:|millhand)/,
    only: /^operator\/src\/fleet\/|^control\/src\/(resources|decide)\/|^control\/src\/world\.ts$|^node:crypto$/,
    because: 'what becomes of a Deployment is decided purely',
  },
  {
    from: /^dashboard\/web\//,
    among: /^/,
    only: /^dashboard\/(web\/|src\/(api|schema)\.ts$)|^(preact(\/hooks)?|@preact\/signals|uplot|millhand\/filter)$/,
    because: 'pages run in a browser: they know the types of the API and the language of filters',
  },
  {
    from: /^cli/,
    among: /^(millhand|@millhand|@kubernetes|worker-runtime|operator)/,
    only: /^millhand\/(client|queue|doctor|stop-requests)$/,
    because: 'the command line uses what is public, and no API server',
  },
  {
    from: /^cli\/src\/local\//,
    among: /^cli/,
    only: /^cli\/src\/local\//,
    because: 'local/ knows no commands: it prints nothing and handles no signals',
  },
]

/** A word that may stand in these files only. */
const reserved: { word: RegExp; only: RegExp; because: string }[] = [
  {
    word: /process\.env/,
    only: /(^|\/)config\.ts$|fork\/zygote-first\.ts$|local\/outside\.ts$|cli\/src\//,
    because: 'the environment is read once',
  },
  {
    word: /process\.exit\b/,
    only: /(runtime|operator)\/src\/main\.ts$|inside\/entry\.ts$|cli\/src\//,
    because: 'a process ends in one place',
  },
  {
    word: /process\.on\('SIG/,
    only: /(runtime|operator)\/src\/main\.ts$|inside\/entry\.ts$|cli\/src\//,
    because: 'signals are for whoever owns the process',
  },
  {
    word: /from '[./a-z]*\/native\.ts'/,
    only: /child\/source\/(spawn-entry|fork\/(forks|zygote|zygote-entry))\.ts$|child\/orphans\.ts$|inside\/zombies\.ts$|src\/main\.ts$/,
    because: 'the compiled part is for the two ends of a fork, and for what a fork leaves',
  },
  {
    word: /from '(ioredis|node:tls)'/,
    only: /redis\/socket\.ts$|cli\/src\/reaching\.ts$/,
    because: 'one file speaks to Redis, and one asks why it cannot be spoken to',
  },
  {
    word: /from 'node:child_process'/,
    only: /src\/child\/|src\/local\/|cli\/src\/(commands\/worker|top\/guard|asking-pools)\.ts$/,
    because: 'processes are behind one wall',
  },
  {
    word: /@kubernetes\/client-node/,
    only: /operator\/src\/kube\//,
    because: 'one folder talks to the API server',
  },
  {
    word: /Date\.now\(/,
    only: /src\/main\.ts$|log\.ts$|kube\/client\.ts$|src\/job-id\.ts$|queue\/reap\.ts$|local\/outside\.ts$|cli\/src\/|web\/app\/time\.ts$/,
    because: 'time is an argument of decisions',
  },
  {
    word: /console\./,
    only: /cli\/src\/|inside\/rehearsal\.ts$/,
    because: 'the console belongs to the command line',
  },
]

/** The files, Lua included, that tell the whole story of a job. */
const STATIONS = [
  'client/client.ts',
  'queue/lua/enqueue.lua',
  'worker/worker.ts',
  'worker/holdings.ts',
  'queue/lua/exchange.lua',
  'queue/lua/lifecycle.lua',
  'child/attempt.ts',
  'child/inside/entry.ts',
]

/**
 * All that a job passes, for a reader who trusts four walls: redis/ (a call and its answer), queue/scripts.ts (a verb runs its script),
 * child/children.ts with what it is made of (a child that is ready), child/child.ts (a message and its answer).
 */
const FULL_WAY = [
  'task.ts',
  'job.ts',
  'client/client.ts',
  'client/checked-job.ts',
  'client/batch.ts',
  'queue/enqueue.ts',
  'queue/hold.ts',
  'queue/verbs.ts',
  'queue/lua/enqueue-plain.lua',
  'queue/lua/enqueue.lua',
  'queue/lua/exchange.lua',
  'queue/lua/lifecycle.lua',
  'queue/lua/promote.lua',
  'queue/lua/try-again.lua',
  'queue/lua/idle.lua',
  'queue/lua/lanes.lua',
  'queue/lua/text.lua',
  'queue/lua/clock.lua',
  'worker/worker.ts',
  'worker/turns.ts',
  'worker/consumer.ts',
  'worker/holdings.ts',
  'worker/waker.ts',
  'worker/observers.ts',
  'worker/settlement.ts',
  'child/pool.ts',
  'child/attempt.ts',
  'child/outcome.ts',
  'child/inside/entry.ts',
]

describe('the layers', () => {
  test.each(walls)('$from: $because', ({ from, among, only }) => {
    const guests = sources.filter(({ path }) => from.test(path))
    expect(guests.length).toBeGreaterThan(0)
    const through = guests.flatMap(({ path, imports }) =>
      imports
        .filter((target) => among.test(target) && !only.test(target))
        .map((target) => `${path} imports ${target}`),
    )
    expect(through).toEqual([])
  })

  test.each(reserved)('$word: $because', ({ word, only }) => {
    expect(
      sources.filter(({ path, text }) => word.test(text) && !only.test(path)).map(({ path }) => path),
    ).toEqual([])
  })

  test('no file imports itself by a detour', () => {
    const graph = new Map(sources.map(({ path, imports }) => [path, imports]))
    const circles: string[] = []
    const visit = (path: string, trail: string[]) => {
      if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
      else if (!seen.has(path)) {
        for (const target of graph.get(path) ?? []) if (graph.has(target)) visit(target, [...trail, path])
        seen.add(path)
      }
    }
    const seen = new Set<string>()
    for (const path of graph.keys()) visit(path, [])
    expect(circles).toEqual([])
  })

  test('eight files, with their Lua, tell the whole story of a job', () => {
    expect(STATIONS.length).toBeLessThanOrEqual(8)
    expect(linesOf(STATIONS)).toBeLessThanOrEqual(1_500)
  })

  test('the full way of a job is short', () => {
    expect(STATIONS.filter((file) => !FULL_WAY.includes(file))).toEqual([])
    expect(linesOf(FULL_WAY)).toBeLessThanOrEqual(3_200)
  })
})

/** Without blank lines and comments. */
function linesOf(files: readonly string[]): number {
  const lines = files.flatMap((file) => {
    const text = readFileSync(join(root, runtime, file), 'utf8')
    const code = file.endsWith('.lua') ? text.replaceAll(/^\s*--.*$/gm, '') : withoutComments(text)
    return code.split('\n').filter((line) => line.trim() !== '')
  })
  return lines.length
}
