import { join } from 'node:path'
import { describeProblem, ManifestsRefused, readManifests } from '../../../cli/src/local/manifests.ts'
import { folderWith, writeFiles } from './folder.ts'

const QUEUE = `apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: mail }
spec: { timeoutSeconds: 60 }
`
const POOL = `apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata:
  name: mailers
spec:
  queues: [{ name: mail }]
  slots: 4
  template:
    spec:
      containers:
        - name: worker
          image: example/mail:1
`
const TASKS = { 'tasks.ts': '' }
const SCHEDULE = `apiVersion: millhand.dev/v1beta1
kind: Schedule
metadata: { name: digest }
spec:
  queue: mail
  cron: 0 8 * * 1-5
  timeZone: Europe/Berlin
  task: digest
`
const both = `${QUEUE}---\n${POOL}`

function read(files: Record<string, string>, paths = ['.'], namespace = 'default') {
  return readManifests(paths, { namespace, workingFolder: folderWith(files) })
}

function problemsOf(files: Record<string, string>, paths = ['.']): string[] {
  try {
    read(files, paths)
    return []
  } catch (error) {
    if (error instanceof ManifestsRefused) return error.problems.map(describeProblem)
    throw error
  }
}

describe('manifests', () => {
  test('are read from the files of a folder, several in one file', () => {
    const { pools, queues, warnings } = read({ ...TASKS, 'a.yaml': both })
    expect(queues.map((queue) => [queue.queueName, queue.timeoutMs])).toEqual([['default.mail', 60_000]])
    expect(pools.map(({ pool }) => [pool.metadata.name, pool.slots])).toEqual([['mailers', 4]])
    expect(warnings).toEqual([])
  })

  test('are read from several files and folders, but not from folders in folders', () => {
    const files = { 'q/tasks.ts': '', 'queue.yaml': QUEUE, 'q/pool.yml': POOL, 'q/deeper/bad.yaml': 'a: [' }
    const { pools, queues } = read(files, ['queue.yaml', 'q'])
    expect([queues.length, pools.length]).toEqual([1, 1])
  })

  test('live in their own namespace, else in the one that was asked for', () => {
    const elsewhere = both.replace('metadata: { name: mail }', 'metadata: { name: mail, namespace: shop }')
    const { queues, pools, warnings } = read({ ...TASKS, 'a.yaml': elsewhere }, ['.'], 'team')
    expect(queues[0]?.queueName).toBe('shop.mail')
    expect(pools[0]?.pool.metadata.namespace).toBe('team')
    expect(warnings).toEqual([
      'WorkerPool mailers: there is no TaskQueue mail in these manifests; it runs with the defaults',
    ])
  })

  test('may give a queue another name in Redis, and the pool serves that', () => {
    const renamed = both.replace('{ timeoutSeconds: 60 }', '{ queueName: default.letters }')
    const { pools } = read({ ...TASKS, 'a.yaml': renamed })
    expect(pools[0]?.queueNames).toEqual(['default.letters'])
  })

  test('of other kinds are named and passed over', () => {
    const other = 'apiVersion: v1\nkind: Secret\nmetadata: { name: x }\n---\n# nothing\n---\nservices: {}\n'
    const { warnings } = read({ ...TASKS, 'a.yaml': both, 'b.yaml': other })
    expect(warnings).toEqual([
      'b.yaml:2: passed over: Secret is for a cluster only',
      'b.yaml:7: passed over: not a Kubernetes resource (it needs apiVersion and kind)',
    ])
  })

  test('may serve a queue that nobody declared yet', () => {
    const { warnings, pools } = read({ ...TASKS, 'a.yaml': POOL })
    expect(pools).toHaveLength(1)
    expect(warnings).toEqual([
      'WorkerPool mailers: there is no TaskQueue mail in these manifests; it runs with the defaults',
    ])
  })

  const edit = (from: string | RegExp, to: string) => ({ ...TASKS, 'a.yaml': both.replace(from, to) })
  const rows: [string, Record<string, string>, string[]][] = [
    [
      'a misspelt field',
      edit('slots: 4', 'slot: 4'),
      ['a.yaml:12:3: spec.slot: there is no slot in spec; did you mean slots?'],
    ],
    [
      'a misspelt field deep inside',
      edit('slots: 4', 'scaling: { maxReplica: 3 }'),
      [
        'a.yaml:12:14: spec.scaling.maxReplica: there is no maxReplica in spec.scaling; did you mean maxReplicas?',
      ],
    ],
    [
      'a misspelt field of metadata',
      edit('name: mailers', 'name: mailers\n  lables: {}'),
      ['a.yaml:10:3: metadata.lables: there is no lables in metadata; did you mean labels?'],
    ],
    [
      'a value of the wrong type',
      edit('slots: 4', 'slots: four'),
      ['a.yaml:12:10: spec.slots is "four"; it must be a whole number'],
    ],
    [
      'a value out of bounds',
      edit('slots: 4', 'slots: 0'),
      ['a.yaml:12:10: spec.slots is 0; it must be at least 1'],
    ],
    [
      'a value that is none of the allowed ones',
      edit('slots: 4', 'isolation: { mode: frok }'),
      [
        'a.yaml:12:22: spec.isolation.mode is "frok"; it must be one of Fork, Spawn, Reuse; did you mean Fork?',
      ],
    ],
    [
      'a name in the wrong form',
      edit('name: mailers', 'name: Mailers'),
      [
        'a.yaml:9:9: metadata.name is "Mailers"; it must look like thumbnails or my-queue-2: lower case letters, digits and inner dashes',
      ],
    ],
    [
      'a missing name',
      edit('metadata:\n  name: mailers', 'metadata: {}'),
      ['a.yaml:8:11: metadata.name is missing; add it'],
    ],
    [
      'a queue that is missing',
      edit('queues: [{ name: mail }]', 'queues: []'),
      ['a.yaml:11:11: spec.queues is []; it needs at least 1 item'],
    ],
    [
      'no queues at all',
      edit('  queues: [{ name: mail }]\n', ''),
      ['a.yaml:11:3: spec.queues is missing; add it'],
    ],
    [
      'a broken rule',
      edit('slots: 4', 'isolation: { reuse: { jobsPerChild: 3 } }'),
      ['a.yaml:12:23: spec.isolation.reuse: reuse needs mode Reuse'],
    ],
    [
      'a reserved variable',
      edit('image: example/mail:1', 'env: [{ name: A }, { name: MILLHAND_SLOTS }]'),
      [
        'a.yaml:17:38: spec.template.spec.containers[0].env[1].name: environment variables that begin with MILLHAND_ are set by the operator',
      ],
    ],
    [
      'a misspelt kind',
      edit('WorkerPool', 'WorkerPol'),
      [
        'a.yaml:7:7: kind is "WorkerPol"; it must be one of TaskQueue, WorkerPool, Schedule; did you mean WorkerPool?',
      ],
    ],
    [
      'another version',
      edit(/v1beta1\nkind: WorkerPool/, 'v1\nkind: WorkerPool'),
      [
        'a.yaml:6:13: apiVersion is "millhand.dev/v1"; for a WorkerPool this Millhand knows millhand.dev/v1beta1',
      ],
    ],
    [
      'text that is no YAML',
      edit('slots: 4', 'slots: [4'),
      [
        'a.yaml:13:3: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      ],
    ],
    [
      'a field given twice',
      edit('slots: 4', 'slots: 4\n  slots: 5'),
      ['a.yaml:13:3: not valid YAML: Map keys must be unique'],
    ],
    [
      'two resources of one name',
      { ...TASKS, 'a.yaml': both, 'b.yaml': POOL },
      [
        'b.yaml:4:9: there is a WorkerPool default/mailers already, at a.yaml:9:9; give one of them another name',
      ],
    ],
    [
      'no pool',
      { 'a.yaml': QUEUE },
      [
        '.: there is 1 TaskQueue, but no WorkerPool here; add a WorkerPool (apiVersion: millhand.dev/v1beta1) that says which queues to serve',
      ],
    ],
    [
      'nothing of Millhand',
      { 'a.yaml': '' },
      [
        '.: there is nothing of Millhand here; add a WorkerPool (apiVersion: millhand.dev/v1beta1) that says which queues to serve',
      ],
    ],
    [
      'a field that belongs elsewhere',
      edit('slots: 4', 'maxReplica: 3'),
      [
        'a.yaml:12:3: spec.maxReplica: there is no maxReplica in spec; did you mean spec.scaling.maxReplicas?',
      ],
    ],
    [
      'no apiVersion',
      edit(/^apiVersion: .*\n/, ''),
      ['a.yaml:1:1: apiVersion is missing; add apiVersion: millhand.dev/v1beta1'],
    ],
    [
      'neither apiVersion nor kind',
      edit(/^apiVersion: .*\n.*\n/, ''),
      [
        'a.yaml:1:1: apiVersion and kind are missing; add apiVersion: millhand.dev/v1beta1 and kind: TaskQueue or kind: WorkerPool or kind: Schedule',
      ],
    ],
    [
      'nothing of Millhand, among others',
      { 'a.yaml': 'services: {}\n' },
      [
        '.: there is nothing of Millhand here; add a WorkerPool (apiVersion: millhand.dev/v1beta1) that says which queues to serve\na.yaml:1: passed over: not a Kubernetes resource (it needs apiVersion and kind)',
      ],
    ],
    [
      'aliases of aliases, which would fill the memory',
      {
        'a.yaml': `a0: &a0 [x]\n${Array.from({ length: 30 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(9)}]\n`).join('')}`,
      },
      ['a.yaml: cannot be read as YAML: Excessive alias count indicates a resource exhaustion attack'],
    ],
    ['no manifest', { 'readme.md': '' }, ['.: there is no .yaml or .yml file in this folder']],
    [
      'a name in Redis outside the namespace',
      edit('spec: { timeoutSeconds: 60 }', 'spec: { queueName: other }'),
      [
        'a.yaml:4:20: spec.queueName is "other"; without a cluster it must begin with "default.", or be left out',
      ],
    ],
    [
      'no task module',
      { 'a.yaml': both },
      [
        'a.yaml:16:11: there is no task module for this pool: put tasks.ts or tasks.js or tasks.mjs beside this manifest, or name one in the args of the container',
      ],
    ],
    [
      'several mistakes, all at once',
      edit('slots: 4', 'slots: 0\n  slotz: 1'),
      [
        'a.yaml:12:10: spec.slots is 0; it must be at least 1',
        'a.yaml:13:3: spec.slotz: there is no slotz in spec; did you mean slots?',
      ],
    ],
  ]
  test.each(rows)('are refused with the place and the remedy: %s', (_, files, problems) => {
    const found = problemsOf(files)
    expect(found.map((problem) => problem.replace(/there is neither .*/, 'there is neither')).sort()).toEqual(
      problems.sort(),
    )
  })

  test('of a Schedule are refused for a time zone or a day that there is not', () => {
    const given = { ...TASKS, 'a.yaml': both, 'b.yaml': SCHEDULE }
    expect(read(given).resources.map(({ kind }) => kind)).toEqual(['TaskQueue', 'WorkerPool', 'Schedule'])
    const edited = (from: string, to: string) =>
      problemsOf({ ...given, 'b.yaml': SCHEDULE.replace(from, to) }).join('\n')
    expect(edited('Europe/Berlin', 'Europe/Berlim')).toBe(
      'b.yaml:5:3: spec: unknown timeZone "Europe/Berlim": did you mean Europe/Berlin?',
    )
    expect(edited('0 8 * * 1-5', '0 8 30 2 *')).toMatch(
      /^b\.yaml:5:3: spec: invalid cron "0 8 30 2 \*": there is no such day/,
    )
  })

  test('that are not there are refused', () => {
    expect(problemsOf({}, ['nowhere.yaml'])).toEqual(['nowhere.yaml: there is no such file or folder'])
  })

  test('read again may not change what cannot be changed', () => {
    const folder = folderWith({
      ...TASKS,
      'a.yaml': both.replace('{ timeoutSeconds: 60 }', '{ queueName: default.a }'),
    })
    const options = { namespace: 'default', workingFolder: folder }
    const previous = readManifests(['.'], options)
    writeFiles(folder, { 'a.yaml': both.replace('{ timeoutSeconds: 60 }', '{ queueName: default.b }') })
    expect(() => readManifests(['.'], { ...options, previous })).toThrow(
      'a.yaml:4:20: spec.queueName: queueName cannot be changed',
    )
  })
})

describe('the task modules of a pool', () => {
  const withArgs = (args: string) => both.replace('image: example/mail:1', `args: ${args}`)
  const modules = (files: Record<string, string>, paths = ['.']) => {
    const folder = folderWith(files)
    const { pools } = readManifests(paths, { namespace: 'default', workingFolder: folder })
    return pools.flatMap(({ taskModules }) => taskModules.map((file) => file.slice(folder.length + 1)))
  }

  test.each<[string, Record<string, string>, string[]]>([
    ['tasks.ts beside the manifest', { 'tasks.ts': '', 'tasks.js': '', 'a.yaml': both }, ['tasks.ts']],
    ['tasks.js when there is no tasks.ts', { 'tasks.js': '', 'a.yaml': both }, ['tasks.js']],
    [
      'the arguments of the container called worker',
      { 'x.mjs': '', 'y.ts': '', 'a.yaml': withArgs('[x.mjs, --flag, y.ts]') },
      ['x.mjs', 'y.ts'],
    ],
    [
      'the source of what the image has compiled',
      { 'src/x.ts': '', 'a.yaml': withArgs('[src/x.js]') },
      ['src/x.ts'],
    ],
    [
      'what the image has at its own path',
      { 'tasks.ts': '', 'a.yaml': withArgs('[/app/tasks.js]') },
      ['tasks.ts'],
    ],
  ])('are %s', (_, files, expected) => {
    expect(modules(files)).toEqual(expected)
  })

  test('are looked for in the folder of the manifest', () => {
    expect(modules({ 'sub/tasks.ts': '', 'sub/a.yaml': both }, ['sub'])).toEqual([join('sub', 'tasks.ts')])
  })

  test('that are missing are refused with the places that were looked at', () => {
    const [problem = ''] = problemsOf({ 'a.yaml': withArgs('[x.js]') })
    expect(problem).toMatch(
      /^a\.yaml:17:18: args: task module "x\.js" is not here: there is neither .*x\.js nor .*x\.ts$/,
    )
  })
})
