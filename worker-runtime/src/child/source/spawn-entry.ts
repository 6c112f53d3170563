// The program of a spawned child (spawn.ts). The worker tells it over descriptor 3 which modules to load.
import { beTheFirstToGoWhenMemoryIsShort, listenToWorker, sayHowItEnds } from '../inside/entry.ts'
import { reapZombies } from '../inside/zombies.ts'
import { loadNative } from './fork/native.ts'

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
    // No compiled part for this platform: what a job detaches twice outlives it.
  }
}
