// The self-test of a forked child: timers, files, crypto, garbage collection. entry.ts runs it when the
// worker tests a new zygote (self-test.ts).
import crypto from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'

/** The exit code of a probe whose loop has run dry. */
export const PROBE_EXIT_CODE = 42
/** Enough to fill the young generation several times, with some survivors. */
const GARBAGE = { batches: 30, objects: 10_000 }

/** Facts of one child; the numbers must differ between children. */
export interface Probed {
  pid: number
  /** From the kernel. */
  kernelPid: number
  random: string[]
  derivedBytes: number
}

export async function probe(): Promise<Probed> {
  await sleep(1)
  const stat = await readFile('/proc/self/stat', 'utf8')
  const derived = await promisify(crypto.pbkdf2)('a', 'b', 10, 32, 'sha256')
  makeGarbage()
  return {
    pid: process.pid,
    kernelPid: Number.parseInt(stat, 10),
    random: randomNumbers(),
    derivedBytes: derived.length,
  }
}

function randomNumbers(): string[] {
  return [
    `random ${Math.random()}`,
    `uuid ${crypto.randomUUID()}`,
    `web uuid ${globalThis.crypto.randomUUID()}`,
    `int ${crypto.randomInt(2 ** 48 - 1)}`,
    `bytes ${crypto.randomBytes(16).toString('hex')}`,
  ]
}

function makeGarbage(): void {
  const kept: object[][] = []
  for (let batch = 0; batch < GARBAGE.batches; batch += 1) {
    const made = Array.from({ length: GARBAGE.objects }, (_, index) => ({ batch, index, text: `${index}` }))
    if (batch % 10 === 0) kept.push(made)
  }
}
