// Who may read the metrics: what the API server is asked, and how often.
import { Access } from '../../../operator/src/http/access.ts'
import type { User } from '../../../operator/src/kube/reviews.ts'

const PROMETHEUS: User = { username: 'system:serviceaccount:monitoring:prometheus', groups: ['a'] }

function scene() {
  const asked: string[] = []
  const state = { nowMs: 0, isUp: true, isAllowed: true }
  const reviews = {
    userOf: async (token: string) => {
      asked.push(token)
      if (!state.isUp) throw new Error('connect ECONNREFUSED')
      return token.startsWith('known') ? PROMETHEUS : undefined
    },
    mayGet: async (user: User, path: string) => state.isAllowed && user === PROMETHEUS && path === '/metrics',
  }
  const access = new Access({ reviews, nowMs: () => state.nowMs })
  const status = async (header?: string) => (await access.refusalOf(header, '/metrics'))?.status ?? 200
  return { access, asked, state, status }
}

test.each<[string | undefined, number]>([
  ['Bearer known', 200],
  ['bearer known', 200],
  ['Bearer other', 401],
  ['Basic a25vd246', 401],
  ['Bearer', 401],
  ['Bearer two words', 401],
  [undefined, 401],
])('Authorization: %s is answered with %d', async (header, expected) => {
  expect(await scene().status(header)).toBe(expected)
})

test('a user without the right is told who he is and what is missing', async () => {
  const { access } = scene()
  const refusal = await access.refusalOf('Bearer known', '/other')
  expect(refusal).toEqual({
    status: 403,
    reason: `${PROMETHEUS.username} may not get the nonResourceURL /other; bind it to a ClusterRole that allows it`,
  })
})

test('the API server is asked once a minute for a token, and once for requests at the same time', async () => {
  const { asked, state, status } = scene()
  await Promise.all([status('Bearer known'), status('Bearer known')])
  state.nowMs = 59_999
  await status('Bearer known')
  expect(asked).toHaveLength(1)
  state.isAllowed = false
  state.nowMs = 60_000
  expect(await status('Bearer known')).toBe(403)
  expect(asked).toHaveLength(2)
})

test('a refusal is forgotten after ten seconds', async () => {
  const { state, status } = scene()
  state.isAllowed = false
  expect(await status('Bearer known')).toBe(403)
  state.isAllowed = true
  state.nowMs = 9_999
  expect(await status('Bearer known')).toBe(403)
  state.nowMs = 10_000
  expect(await status('Bearer known')).toBe(200)
})

test('while the API server is away nobody new is let in, and it is asked again with the next request', async () => {
  const { state, status } = scene()
  expect(await status('Bearer known')).toBe(200)
  state.isUp = false
  expect(await status('Bearer known')).toBe(200)
  expect(await status('Bearer known-2')).toBe(503)
  state.isUp = true
  expect(await status('Bearer known-2')).toBe(200)
})

test('a flood of unknown tokens asks the API server at most 16 questions at a time', async () => {
  const { asked, status } = scene()
  const flood = Array.from({ length: 100 }, (_, index) => status(`Bearer flood-${index}`))
  expect(asked).toHaveLength(16)
  expect((await Promise.all(flood)).filter((found) => found === 429)).toHaveLength(84)
  expect(await status('Bearer known')).toBe(200)
})
