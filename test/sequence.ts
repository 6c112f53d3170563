// The order of the suites: first those without a cluster, whose bounds in time are tight, then those on a cluster, which keep the machine
// busy for minutes. Large files first, so that no worker is left with the longest at the end.
import { statSync } from 'node:fs'

interface Suite {
  path: string
}

const onCluster = /\/(cluster|charts|kube)\/|\/cluster\.test\.ts$|on-cluster/

export default class Sequence {
  sort(suites: Suite[]): Suite[] {
    const sizes = new Map(suites.map(({ path }) => [path, statSync(path).size]))
    return [...suites].sort(
      (a, b) =>
        Number(onCluster.test(a.path)) - Number(onCluster.test(b.path)) ||
        (sizes.get(b.path) ?? 0) - (sizes.get(a.path) ?? 0),
    )
  }

  cacheResults(): void {}
}
