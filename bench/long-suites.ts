// npm run soak -- --cluster: the suites of test/operator/cluster that have a long form. soak.ts calls.
import { clusterLeftOut } from '../test/cluster/cluster.ts'
import { playTests } from '../test/run.ts'

const SUITES = ['shrinking', 'chaos'].map((name) => `test/operator/cluster/${name}.test.ts`)
const SCALE_INS = '200'

/** Resolves to the exit code of the suites, 2 when there is to be no cluster. */
export async function playLongSuites(minutes: number): Promise<number> {
  const leftOut = clusterLeftOut()
  if (leftOut) {
    console.error(`soak: ${leftOut}`)
    return 2
  }
  const variables = {
    MILLHAND_SCALE_INS: process.env.MILLHAND_SCALE_INS ?? SCALE_INS,
    MILLHAND_CHAOS_SECONDS: String(minutes * 60),
  }
  return playTests({ args: ['--runInBand', ...SUITES], variables, again: false })
}
