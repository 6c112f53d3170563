// The few calls that bringing up a cluster makes to its API server; tests use kubectl or a Kubernetes client.
import { request } from 'node:https'

export interface ApiAccess {
  port: number
  token: string
  certificate: string
}

export interface Answer {
  status: number
  body: string
}

export function call(
  access: ApiAccess,
  path: string,
  { method = 'GET', object }: { method?: string; object?: object } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${access.token}`, 'content-type': 'application/json' }
    const { port, certificate: ca } = access
    const options = { host: '127.0.0.1', port, path, method, headers, ca, agent: false, timeout: 5_000 }
    const asked = request(options, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    asked.on('timeout', () => asked.destroy(new Error(`the API server did not answer to ${path} within 5 s`)))
    asked.on('error', reject)
    asked.end(object && JSON.stringify(object))
  })
}

export async function isFound(access: ApiAccess, path: string): Promise<boolean> {
  return call(access, path).then(
    ({ status }) => status === 200,
    () => false,
  )
}

export async function isNodeReady(access: ApiAccess, node: string): Promise<boolean> {
  const answer = await call(access, `/api/v1/nodes/${node}`).catch(() => undefined)
  if (answer?.status !== 200) return false
  const conditions: { type: string; status: string }[] = JSON.parse(answer.body).status?.conditions ?? []
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}
