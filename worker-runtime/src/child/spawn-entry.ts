// The program of a spawned child (spawn.ts). The worker tells it over descriptor 3 which modules to load.
import { beTheFirstToGoWhenMemoryIsShort, listenToWorker, sayHowItEnds } from './entry.ts'

beTheFirstToGoWhenMemoryIsShort()
sayHowItEnds()
listenToWorker()
