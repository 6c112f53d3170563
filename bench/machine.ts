// What a figure depends on: the machine, its kernel, Node and Redis. Each report shows it.
import { execFileSync } from 'node:child_process'
import { cpus, release, totalmem, type } from 'node:os'

export interface Machine {
  cpu: string
  cores: number
  memoryGiB: number
  kernel: string
  node: string
  redis: string
}

/** Throws an error for the user when there is no redis-server, or the system is not Linux. */
export function describeMachine(): Machine {
  if (process.platform !== 'linux') throw new Error('the bench reads /proc: it runs on Linux only')
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    redis: redisVersion(),
  }
}

function redisVersion(): string {
  try {
    return /v=(\S+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1] ?? 'unknown'
  } catch (error) {
    throw new Error('no redis-server is on the PATH: install it, like apt-get install redis-server', {
      cause: error,
    })
  }
}
