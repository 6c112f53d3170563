// Reads and decodes a Secret for control/, which knows no API server. All failures become one error.
import { SecretUnreadable } from '@millhand/control/redis/secrets'
import { type Kube, kinds } from './client.ts'
import { isDenied, KubeError, textFromKube } from './errors.ts'

/** Undefined where there is none. Throws SecretUnreadable. */
export async function readSecret(
  kube: Pick<Kube, 'get'>,
  namespace: string,
  name: string,
): Promise<Record<string, string> | undefined> {
  const secret = await kube
    .get<{ data?: Record<string, string> }>(kinds.secret, namespace, name)
    .catch(unreadable)
  if (!secret) return undefined
  const decoded = (text: string) => Buffer.from(text, 'base64').toString('utf8')
  return Object.fromEntries(Object.entries(secret.data ?? {}).map(([key, text]) => [key, decoded(text)]))
}

function unreadable(error: unknown): never {
  if (!(error instanceof KubeError)) throw error
  throw new SecretUnreadable(textFromKube(error), { isDenied: isDenied(error), cause: error })
}
