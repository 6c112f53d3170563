// Every command that a text names exists, with its flags: in READMEs, docs, CRDs, the chart, errors and comments.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')

interface Named {
  program: 'millhand' | 'kubectl' | 'helm' | 'npm'
  verb: string
  words: string[]
  at: string
}

/** Prose that only looks like a command: "kubectl shows them". */
const PROSE: Record<Named['program'], RegExp> = {
  millhand: /^(commands?|needs|runs|is|brings|and|or|in|as|on|for|with|from|does)$/,
  kubectl: /^(shows|says|knows|and|or|is|asks|with|refuses)$/,
  helm: /^(and|or|is|with|has|keeps)$/,
  npm: /^$/,
}

function commandsIn(path: string): Named[] {
  // A command that goes on in the next line is one.
  const text = read(path).replaceAll(/ *\\\n\s*/g, ' ')
  return text.split('\n').flatMap((line, index) =>
    [
      ...line.matchAll(
        /(?<![\w@/.<-]|(?:install|upgrade|test|template) )(millhand|kubectl|helm|npm)(?: run)? (?=[a-z$-])/g,
      ),
    ].flatMap((match): Named[] => {
      const program = match[1] as Named['program']
      if (program === 'npm' && !match[0].includes('run')) return []
      // It ends where the sentence, the code or the column of examples goes on. What stands in quotes is an argument.
      const rest = line
        .slice(match.index + match[0].length)
        .replaceAll(/(?<=\S)\$\{[^}]*\}/g, '')
        .replaceAll(/(?<=[ =])(\\?'[^']*'|"[^"]*")|\$\{[^}]*\}|\{\{[^}]*\}\}/g, 'ARGUMENT')
      const [command = ''] = /^.*?(?=$|[`;|)('"…→]|, |\. |: |\.$| {2}|&&|<<| #)/.exec(rest) ?? []
      const words = command.split(' ').filter(Boolean)
      const at = words.findIndex(
        (word, n) => !word.startsWith('-') && !/^(-n|--namespace|--kubeconfig)$/.test(words[n - 1] ?? ''),
      )
      const verb = words[at]?.replace(/[.,:]$/, '') ?? ''
      return PROSE[program].test(verb) || verb === ''
        ? []
        : [{ program, verb, words, at: `${path}:${index + 1}` }]
    }),
  )
}

const flagsOf = ({ words }: Named): string[] =>
  words.flatMap((word) => (/^--?[a-z][\w-]*/i.exec(word)?.[0] ?? []) || [])

const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter((path) => /(\.md|\.ts|\.js|\.lua|\.yaml|\.yml|\.txt|\.tpl|Dockerfile)$/.test(path))
  .filter((path) => !/^(test|bench)\/(?!.*README)|^charts\/millhand\/files\/|node_modules/.test(path))
const named = files.flatMap(commandsIn)
const of = (program: Named['program']) => named.filter((each) => each.program === program)

/** As commander has it. */
async function millhandOptions(): Promise<Map<string, Set<string>>> {
  const millhand = new Command('millhand')
  for (const file of readdirSync(join(root, 'cli/src/commands'))) {
    const made: Record<string, unknown> = await import(`../cli/src/commands/${file}`)
    for (const [name, add] of Object.entries(made))
      if (name.endsWith('Command')) (add as (parent: Command, context: unknown) => void)(millhand, {})
  }
  const flags = ({ options }: Command) =>
    new Set(['-h', '--help', ...options.flatMap(({ short, long }) => [short ?? '', long ?? ''])])
  // Some have commands of their own: `millhand schedule set`.
  return new Map(
    millhand.commands.flatMap((command) => [
      [command.name(), flags(command)],
      ...command.commands.map((each) => [`${command.name()} ${each.name()}`, flags(each)] as const),
    ]),
  )
}

/** Verbs with the flags that the texts use; `*` those of every verb. */
const KUBECTL: Record<string, string> = {
  '*': '-n --namespace -A --all-namespaces --kubeconfig --context -o --output -l --selector -f --filename --help',
  annotate: '--overwrite --all',
  api: '',
  apply: '--server-side --force-conflicts -k --dry-run',
  auth: '--as',
  autoscale: '--min --max',
  config: '',
  cordon: '',
  create: '--from-literal --from-file --dry-run --clusterrole --role --serviceaccount',
  debug: '--image --target -it',
  delete: '--all --grace-period --force --wait --cascade --ignore-not-found',
  describe: '',
  diff: '--server-side',
  drain: '--ignore-daemonsets --delete-emptydir-data --force --pod-selector --disable-eviction',
  edit: '',
  events: '--for --types --watch -w',
  exec: '-it --',
  explain: '--recursive',
  get: '--watch -w --show-labels --field-selector --raw --sort-by --ignore-not-found',
  label: '--overwrite',
  logs: '--container -c --previous -p --tail --since --follow --all-containers',
  patch: '--type -p --patch --subresource',
  'port-forward': '--address',
  proxy: '--port',
  replace: '',
  rollout: '--timeout',
  scale: '--replicas --current-replicas',
  taint: '',
  top: '--containers',
  wait: '--for --timeout --all',
}
const HELM: Record<string, string> = {
  '*': '-n --namespace --kubeconfig --help',
  dependency: '',
  get: '',
  install: '--set --set-string --values -f --create-namespace --wait --take-ownership --version --skip-crds',
  lint: '',
  list: '-A',
  package: '',
  rollback: '--wait',
  status: '',
  template: '--set --values -f --include-crds --show-only -s --output-dir --api-versions',
  test: '--logs',
  uninstall: '--wait --keep-history',
  upgrade:
    '--install -i --set --values -f --wait --reuse-values --reset-then-reuse-values --take-ownership --create-namespace',
}

function wrongIn(table: Record<string, string>, program: 'kubectl' | 'helm'): string[] {
  return of(program).flatMap((command) => {
    const { verb, at } = command
    const known = Object.hasOwn(table, verb) ? table[verb] : undefined
    if (known === undefined) return [`${at}: ${program} ${verb} is no command`]
    const flags = new Set(`${table['*']} ${known}`.split(' '))
    return flagsOf(command)
      .filter((flag) => !flags.has(flag))
      .map((flag) => `${at}: ${program} ${verb} has no ${flag}`)
  })
}

test('no text has marks of a merge', () => {
  expect(files.filter((path) => /^(<{7}|>{7}) /m.test(read(path)))).toEqual([])
})

test('every millhand command exists, with its flags', async () => {
  const options = await millhandOptions()
  expect(of('millhand').length).toBeGreaterThan(80)
  const wrong = of('millhand').flatMap((command) => {
    const { verb, at } = command
    if (verb === 'help' || verb === '--help' || verb === '--version') return []
    const second = command.words[command.words.indexOf(verb) + 1] ?? ''
    const known = options.get(`${verb} ${second}`) ?? options.get(verb)
    if (!known) return [`${at}: millhand ${verb} is no command`]
    return flagsOf(command)
      .filter((flag) => !known.has(flag))
      .map((flag) => `${at}: millhand ${verb} has no ${flag}`)
  })
  expect(wrong).toEqual([])
})

test('every kubectl and helm command exists, with its flags', () => {
  expect(of('kubectl').length).toBeGreaterThan(20)
  expect([...wrongIn(KUBECTL, 'kubectl'), ...wrongIn(HELM, 'helm')]).toEqual([])
  // "you may only specify a single resource type"
  const watched = of('kubectl').filter(({ words }) => words.some((word) => /^(--watch|-w)$/.test(word)))
  expect(watched.filter(({ words }) => words.some((word) => word.includes(',')))).toEqual([])
})

test('every npm script exists, and its program knows the flags', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const workspaces = ['worker-runtime', 'control', 'operator', 'cli'].map(
    (folder) => JSON.parse(read(`${folder}/package.json`)).scripts ?? {},
  )
  const wrong = of('npm').flatMap((command) => {
    const { verb, at } = command
    const script = scripts[verb]
    if (script === undefined)
      return workspaces.some((each) => Object.hasOwn(each, verb))
        ? []
        : [`${at}: npm run ${verb} is no script`]
    const program = /\S+\.ts$|examples\/\S+\.js$/.exec(script)?.[0]
    const source = program === undefined ? '' : read(program.replace(/demo\.js$/, 'demo.ts'))
    return flagsOf(command)
      .filter((flag) => program !== undefined && !source.includes(flag))
      .map((flag) => `${at}: npm run ${verb} has no ${flag}`)
  })
  expect(wrong).toEqual([])
})
