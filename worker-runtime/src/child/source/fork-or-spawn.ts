// The source of children for a mode. Fork falls back to Spawn where forks do not work, with the reason; Reuse
// takes its children from either.
import { ConfigError, type IsolationMode } from '../../config.ts'
import type { Log } from '../../log.ts'
import type { Birth, Failure } from '../child.ts'
import { startForks } from './fork/forks.ts'
import { spawnChild } from './spawn.ts'

export interface SourceSettings {
  modules: string[] // absolute paths
  /** Fork becomes Spawn where forks do not work. */
  mode: IsolationMode
  /** The timeout for loading the modules; ms. */
  loadTimeoutMs: number
  jobsAtOncePerChild?: number | undefined // Reuse; 1 when absent
  maxMemoryBytes?: number | undefined // of one child; a share of the container's limit when absent
  /** Packages and files whose random values and open files forks may share. */
  forkShares?: readonly string[] | undefined
  env: Record<string, string | undefined>
  log: Log
  /** Called with the duration of each fork. */
  onForked?: ((micros: number) => void) | undefined
}

/** The source of a worker's children. */
export interface Source {
  mode: IsolationMode
  note: string
  birth(): Promise<Birth | Failure>
  zygoteRssBytes(): number | undefined
  stop(): Promise<void>
}

export async function startSource(settings: SourceSettings): Promise<Source> {
  const spawned = {
    birth: () => spawnChild(settings),
    zygoteRssBytes: () => undefined,
    stop: async () => {},
  }
  if (settings.mode === 'Spawn') return { ...spawned, mode: settings.mode, note: '' }
  const forks = await startForks({ ...settings, ...usageOf(settings) })
  if ('failure' in forks) throw refusal(forks)
  if ('unfit' in forks)
    return settings.mode === 'Reuse'
      ? { ...spawned, mode: 'Reuse', note: '' }
      : { ...spawned, mode: 'Spawn', note: forks.unfit }
  return {
    mode: settings.mode,
    note: '',
    birth: () => forks.birth(),
    zygoteRssBytes: () => forks.zygoteRssBytes(),
    stop: () => forks.stop(),
  }
}

export function usageOf({
  mode,
  jobsAtOncePerChild = 1,
}: Pick<SourceSettings, 'mode' | 'jobsAtOncePerChild'>) {
  const once = mode !== 'Reuse'
  return { once, jobsAtOnce: once ? 1 : jobsAtOncePerChild }
}

export function refusal({ failure, isAccident }: Failure): Error {
  return isAccident ? new Error(failure) : new ConfigError(failure)
}
