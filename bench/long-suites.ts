// npm run soak -- --cluster and --faults: runs the long form of suites. Called by soak.ts.
import { clusterLeftOut } from '../test/cluster/cluster.ts'
import { playTests } from '../test/run.ts'

export type LongForm = 'cluster' | 'faults'

interface Suites {
  paths: readonly string[]
  /** The environment may set each of them, to repeat a run. */
  variables(minutes: number): Record<string, string>
}

const FORMS: Record<LongForm, Suites> = {
  cluster: {
    paths: ['shrinking', 'chaos', 'many', 'crash-points', 'tenants'].map(
      (name) => `test/operator/cluster/${name}.test.ts`,
    ),
    variables: (minutes) => ({
      MILLHAND_SCALE_INS: '200',
      MILLHAND_CHAOS_SECONDS: String(minutes * 60),
      MILLHAND_MANY: '500',
      MILLHAND_TENANTS_SECONDS: '600',
      MILLHAND_CRASH_SAMPLE: '30',
    }),
  },
  faults: {
    paths: [
      ...['faults/chaos', 'faults/redis-away', 'hostile-redis/hostile'],
      ...[
        'worker-runtime/queue/state-machine',
        'worker-runtime/queue/batch-many',
        'faults/flows',
        'faults/flow-histories',
      ],
    ].map((name) => `test/${name}.test.ts`),
    variables: (minutes) => ({
      MILLHAND_CHAOS_JOBS: String(Math.ceil(minutes) * 250),
      MILLHAND_OUTAGE_SECONDS: '90',
      MILLHAND_FUZZ_ANSWERS: '30',
      MILLHAND_MODEL_RUNS: '1000',
      MILLHAND_BATCH_JOBS: '1000000',
      MILLHAND_FLOW_JOBS: '10000',
      MILLHAND_FLOW_HISTORIES: '200',
    }),
  },
}

/** Resolves to the exit code of the suites; 2 when they need a cluster and there is none. */
export async function playLongSuites(form: LongForm, minutes: number): Promise<number> {
  const leftOut = form === 'cluster' && clusterLeftOut()
  if (leftOut) {
    console.error(`soak: ${leftOut}`)
    return 2
  }
  const { paths, variables } = FORMS[form]
  const chosen = Object.entries(variables(minutes)).map(([name, value]) => [name, process.env[name] ?? value])
  return playTests({ args: ['--runInBand', ...paths], variables: Object.fromEntries(chosen), again: false })
}
