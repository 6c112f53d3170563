// The Redis that the whole test run shares (test/global-setup.ts starts it). Each test uses queues of its own names.
export function redisUrl(): string {
  const url = process.env.MILLHAND_TEST_REDIS
  if (!url) throw new Error('no test server: run the tests with npm test')
  return url
}
