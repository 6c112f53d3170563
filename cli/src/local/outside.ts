// What local/ takes from the world around it: environment, working folder, clock. The only process.env and Date.now of local/;
// tests hand in their own.
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface Outside {
  env: Readonly<Record<string, string | undefined>>
  workingFolder: string
  /** For things that are fetched once. */
  cacheFolder: string
  nowMs: () => number
}

export function theOutside(changes: Partial<Outside> = {}): Outside {
  const env = changes.env ?? process.env
  return {
    env,
    workingFolder: process.cwd(),
    cacheFolder: join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), '.cache'), 'millhand'),
    nowMs: () => Date.now(),
    ...changes,
  }
}
