import { endSharedCluster } from './cluster/shared.ts'

export default async function tearDown(): Promise<void> {
  await endSharedCluster()
  await (globalThis as { testRedis?: { remove(): Promise<void> } }).testRedis?.remove()
}
