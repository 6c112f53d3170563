export default async function tearDown(): Promise<void> {
  await (globalThis as { testRedis?: { remove(): Promise<void> } }).testRedis?.remove()
}
