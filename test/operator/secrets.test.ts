// What the API server gives of a Secret, and what is said where it gives none.
import { SecretUnreadable } from '../../control/src/redis/secrets.ts'
import { KubeError } from '../../operator/src/kube/errors.ts'
import { readSecret } from '../../operator/src/kube/secrets.ts'

const answering = (answer: unknown) =>
  readSecret(
    {
      get: async () => {
        if (answer instanceof Error) throw answer
        return answer as never
      },
    },
    'shop',
    'millhand-redis',
  )

test('its values are decoded', async () => {
  const data = { url: Buffer.from('redis://10.0.0.7').toString('base64') }
  expect(await answering({ data })).toEqual({ url: 'redis://10.0.0.7' })
  expect(await answering({})).toEqual({})
  expect(await answering(undefined)).toBeUndefined()
})

const FORBIDDEN =
  'secrets "millhand-redis" is forbidden: User "system:x" cannot get resource "secrets" in API group ""'

test.each([
  [403, FORBIDDEN, true],
  [500, 'Internal error occurred: unable to decrypt', false],
  [0, 'connect ECONNREFUSED', false],
])('one that is not given with %d says whether a right is missing', async (status, message, isDenied) => {
  const read = answering(new KubeError(message, { status, reason: 'x' }))
  await expect(read).rejects.toBeInstanceOf(SecretUnreadable)
  await expect(read).rejects.toMatchObject({ message, isDenied })
})

test('of the words no more is told than a person reads', async () => {
  const read = answering(new KubeError('x'.repeat(10_000), { status: 500, reason: 'x' }))
  await expect(read).rejects.toMatchObject({ message: expect.stringMatching(/^x{500}…$/) })
})

test('a fault of ours stays one', async () => {
  await expect(answering(new TypeError('x is not a function'))).rejects.toBeInstanceOf(TypeError)
})
