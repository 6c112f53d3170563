// The environment, working folder and clock of local/: its only process.env and Date.now. Tests replace them.
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface Outside {
  env: Readonly<Record<string, string | undefined>>
  workingFolder: string
  /** The folder of downloads. */
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
