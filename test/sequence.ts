// The order of the suites: large files first, so that no worker is left with the longest at the end.
import { statSync } from 'node:fs'

interface Suite {
  path: string
}

export default class Sequence {
  sort(suites: Suite[]): Suite[] {
    const sizes = new Map(suites.map(({ path }) => [path, statSync(path).size]))
    return [...suites].sort((a, b) => (sizes.get(b.path) ?? 0) - (sizes.get(a.path) ?? 0))
  }

  cacheResults(): void {}
}
