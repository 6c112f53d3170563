// The size of V8's young generation. bin/millhand-worker.js keeps it from growing, which suits a worker whose
// children come and go. With Reuse a worker makes the garbage of tens of thousands of jobs a second: there it
// grows while much survives in it, to 8 MB, and V8 makes it small again when nothing happens. There is a
// largest size only as a flag of the command line, so it is looked at now and then.
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

const ENOUGH_BYTES = 8 * 2 ** 20
const LOOK_EVERY_MS = 200

export function letYoungGenerationGrow(): void {
  setGrowth()
  setInterval(setGrowth, LOOK_EVERY_MS).unref()
}

function setGrowth(): void {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
  const isLarge = (young?.space_size ?? ENOUGH_BYTES) >= ENOUGH_BYTES
  setFlagsFromString(`--semi-space-growth-factor=${isLarge ? 1 : 2}`)
}
