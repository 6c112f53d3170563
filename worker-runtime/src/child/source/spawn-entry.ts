// The program of a spawned child (spawn.ts). The worker tells it over descriptor 3 which modules to load.
import { writeFileSync } from 'node:fs'
import { listenToWorker, sayHowItEnds } from '../inside/entry.ts'
import { reapZombies } from '../inside/zombies.ts'
import { loadNative } from './fork/native.ts'

const OOM_SCORE_ADJUSTMENT = 800

beTheFirstToGoWhenMemoryIsShort()
keepWhatJobsDetach()
sayHowItEnds()
listenToWorker()

function keepWhatJobsDetach(): void {
  try {
    const native = loadNative()
    native.beSubreaper()
    reapZombies(native)
  } catch {
    // No compiled part for this platform: a process that is detached twice outlives its job.
  }
}

function beTheFirstToGoWhenMemoryIsShort(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', String(OOM_SCORE_ADJUSTMENT))
  } catch {
    // Not Linux, or not allowed.
  }
}
