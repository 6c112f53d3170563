// The file of the mode `token`, one token a line: a name, the token's SHA-256, read or write, namespaces with
// commas or *. The file of a mounted Secret changes; it is read again when it has.
import { readFile, stat } from 'node:fs/promises'
import { type Log, reasonOf } from 'millhand/queue'
import { type Permission, READS } from './access.ts'

export interface Grant {
  name: string
  /** SHA-256 of the token. */
  hash: Buffer
  isWriter: boolean
  /** Undefined: all. */
  namespaces: readonly string[] | undefined
}

const LINE =
  /^(?<name>[\w.@-]{1,63})\s+sha256:(?<hash>[0-9a-f]{64})\s+(?<verb>read|write)\s+(?<namespaces>\*|[a-z0-9-]+(,[a-z0-9-]+)*)$/
const MOST_BYTES = 1_000_000
const MOST_TOKENS = 1_000

/** Throws an Error that names the line and the remedy. */
export function parseTokens(text: string): Grant[] {
  const grants = text.split('\n').flatMap((line, at) => {
    const trimmed = line.trim()
    return trimmed === '' || trimmed.startsWith('#') ? [] : [grantIn(trimmed, at + 1)]
  })
  const names = grants.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined)
    throw new Error(`the name ${twice} stands twice: give each token a name of its own`)
  if (grants.length === 0) throw new Error('there is no token: add a line')
  if (grants.length > MOST_TOKENS)
    throw new Error(`there are ${grants.length} tokens: at most ${MOST_TOKENS}`)
  return grants
}

function grantIn(line: string, number: number): Grant {
  const groups = LINE.exec(line)?.groups
  const { name, hash, verb, namespaces } = groups ?? {}
  if (!name || !hash || !namespaces)
    // Without the line itself: somebody may have written a token into it.
    throw new Error(
      `invalid line ${number}: write NAME sha256:HASH read|write NAMESPACES, with the hash of: printf %s TOKEN | sha256sum`,
    )
  const only = namespaces === '*' ? undefined : namespaces.split(',')
  return { name, hash: Buffer.from(hash, 'hex'), isWriter: verb === 'write', namespaces: only }
}

/** Without a namespace: in all. */
export function mayBy(
  grants: readonly Grant[],
  name: string,
  { verb }: Permission,
  namespace: string | undefined,
): boolean {
  const grant = grants.find((known) => known.name === name)
  if (!grant || !(grant.isWriter || READS.some((read) => read === verb))) return false
  return !grant.namespaces || (namespace !== undefined && grant.namespaces.includes(namespace))
}

/** Fails at first when the file cannot be used; later the last good one stays in use. */
export async function tokensIn(path: string, log: Log): Promise<() => Promise<readonly Grant[]>> {
  let readAt = await changedAt(path)
  let grants = await readTokens(path)
  return async () => {
    try {
      const newest = await changedAt(path)
      if (newest === readAt) return grants
      grants = await readTokens(path)
      readAt = newest
      log.info('the tokens of the dashboard were read again', { tokens: grants.length })
    } catch (error) {
      log.warn('the tokens of the dashboard cannot be read; the last ones stay in use', {
        error: reasonOf(error),
      })
    }
    return grants
  }
}

const changedAt = async (path: string) => (await stat(path)).mtimeMs

async function readTokens(path: string): Promise<readonly Grant[]> {
  const { size } = await stat(path)
  if (size > MOST_BYTES) throw new Error(`${path} has ${size} bytes: at most ${MOST_BYTES}`)
  try {
    return parseTokens(await readFile(path, 'utf8'))
  } catch (error) {
    throw new Error(`${path}: ${reasonOf(error)}`)
  }
}
