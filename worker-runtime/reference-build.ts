// Makes docs/client.md, the reference of `millhand` and `millhand/client`, from the docstrings of what they export: npm run reference. tsc writes
// the declarations, and this reads them as text: a statement begins in the first column, a member in the fifth.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
export const REFERENCE = fileURLToPath(new URL('../docs/client.md', import.meta.url))
const TSC = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url))
const HEAD = `# Reference of the client

${[
  'What a program uses that enqueues jobs and waits for them. How to use it: [enqueueing.md](enqueueing.md). This page is made from the docstrings',
  'in the source; `npm run reference` makes it again.',
].join('\n')}
`
const MODULES = [
  {
    name: 'millhand/client',
    file: 'client/client',
    about: 'Enqueue jobs, look them up, wait for their results.',
  },
  { name: 'millhand', file: 'index', about: 'Define tasks, and name their types.' },
]

/** A declaration or a member: its docstring as text, and its code. */
interface Item {
  readonly doc: string
  readonly code: string
}
interface Declaration extends Item {
  readonly name: string
  /** Without ending: client/client. */
  readonly file: string
}

export function reference(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-reference-'))
  try {
    const options = ['--emitDeclarationOnly', '--outDir', folder]
    execFileSync(process.execPath, [TSC, '-p', join(HERE, 'tsconfig.build.json'), ...options])
    return [HEAD, ...MODULES.map((module) => pageOf(module, folder))].join('\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function pageOf({ name, file, about }: (typeof MODULES)[number], folder: string): string {
  const exported = exportsOf(file, folder)
  const links = exported.map((each) => `[${each.name}](#${each.name.toLowerCase()})`).join(' · ')
  return [`## \`${name}\`\n`, `${about}\n`, `${links}\n`, ...exported.map(sectionOf)].join('\n')
}

/** In the order of the source, and then what it exports of other files. */
function exportsOf(file: string, folder: string): Declaration[] {
  const own: Declaration[] = []
  const others: Declaration[] = []
  const text = readFileSync(join(folder, `${file}.d.ts`), 'utf8')
  for (const { doc, code } of itemsOf(withLists(text), '')) {
    const [, name] = /^export (?:declare )?(?:function|class|interface|type|const) (\w+)/.exec(code) ?? []
    const [, names, from = ''] = /^export (?:type )?\{(.*)\} from '(.*)\.ts'/.exec(code) ?? []
    if (name) own.push({ name, doc, code, file })
    if (!names) continue
    const other = exportsOf(join(dirname(file), from), folder)
    for (const each of names.split(','))
      others.push(...other.filter((declaration) => declaration.name === each.replace('type ', '').trim()))
  }
  return [...own, ...others]
}

/** One of a list is a union for a reader. */
function withLists(text: string): string {
  return text.replaceAll(/\(typeof (\w+)\)\[number\]/g, (whole, list) => {
    const [, words] = new RegExp(`const ${list}: readonly \\[(.*)\\];`).exec(text) ?? []
    return words ? words.replaceAll(', ', ' | ').replaceAll('"', "'") : whole
  })
}

/** The statements with this indentation, each with the docstring before it. */
function itemsOf(text: string, indent: string): Item[] {
  const items: { doc: string[]; code: string[] }[] = []
  for (const line of text.split('\n').filter((each) => each.startsWith(indent) && each.trim())) {
    const rest = line.slice(indent.length)
    const last = items.at(-1)
    const isDoc = /^(\/\*\*| \*)/.test(rest)
    const isNext = isDoc ? rest.startsWith('/**') : !/^[ }]/.test(rest) && last?.code.length !== 0
    if (isNext || !last) items.push({ doc: isDoc ? [rest] : [], code: isDoc ? [] : [rest] })
    else if (isDoc) last.doc.push(rest)
    else last.code.push(rest)
  }
  return items.map(({ doc, code }) => ({ doc: textOf(doc), code: code.join('\n') }))
}

function textOf(doc: readonly string[]): string {
  const lines = doc.map((line) => line.replace(/^ ?\/?\*+\/? ?/, '').replace(/ ?\*\/$/, ''))
  return lines.join('\n').trim()
}

function sectionOf({ name, doc, code, file }: Declaration): string {
  const source = relative(dirname(REFERENCE), join(HERE, 'src', `${file}.ts`))
  const parts = [`### ${name}\n`, ...(doc ? [`${doc}\n`] : []), ...bodyOf(code)]
  return [...parts, `Source: [${file}.ts](${source})\n`].join('\n')
}

function bodyOf(code: string): string[] {
  const isClass = /^export declare class/.test(code)
  if (!isClass && !/^export interface/.test(code)) return [codeBlock(code.replace(/^export (declare )?/, ''))]
  const members = itemsOf(code.slice(code.indexOf('\n') + 1), '    ').filter(
    (member) => !/^(#private|constructor|name: |readonly \[)/.test(member.code),
  )
  const head = /^export (?:declare )?(.*) \{/.exec(code)?.[1] ?? ''
  const calls = members.filter((member) => /^(get )?\w+(<.*>)?\(/.test(member.code))
  const fields = members.filter((member) => !calls.includes(member))
  return [
    codeBlock(head),
    ...(fields.length > 0
      ? [`${['| field | type | |', '|---|---|---|', ...fields.map(rowOf)].join('\n')}\n`]
      : []),
    ...calls.flatMap((call) => [
      `#### ${nameOf(call)}\n`,
      codeBlock(call.code),
      ...(call.doc ? [`${call.doc}\n`] : []),
    ]),
  ]
}

const nameOf = ({ code }: Item): string => /^(?:get )?(\w+)/.exec(code)?.[1] ?? ''

function rowOf({ code, doc }: Item): string {
  const [, name = '', optional = '', type = ''] =
    /^(?:readonly )?(\w+)(\??)(?:: | = )([\s\S]*);$/.exec(code) ?? []
  const inCell = (text: string) => text.replaceAll(/\s+/g, ' ').replaceAll('|', '\\|')
  return `| \`${name}${optional}\` | \`${inCell(type)}\` | ${inCell(doc)} |`
}

const codeBlock = (code: string): string => `\`\`\`ts\n${code.replace(/;$/, '')}\n\`\`\`\n`

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) writeFileSync(REFERENCE, reference())
