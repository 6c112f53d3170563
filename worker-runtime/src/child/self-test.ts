// Whether forks of this zygote work, found out before a job depends on it: three children each try out what jobs need (probe.ts), at
// the same time, and the worker judges what they say and how they end.
import { startDeadline } from '../deadline.ts'
import { Child, type Failure } from './child.ts'
import { describeEnding, type Ending } from './outcome.ts'
import { PROBE_EXIT_CODE } from './probe.ts'
import type { Zygote } from './zygote.ts'

const PROBES = 3
const DEADLINE_MS = 10_000

interface Seen {
  facts: Record<string, unknown>
  ending: Ending
}

/** Why forks of it cannot be used, or nothing. */
export async function whyUnusable(zygote: Zygote): Promise<string | undefined> {
  const probes = await Promise.all(Array.from({ length: PROBES }, () => probeOne(zygote)))
  const failed = probes.find((probe) => 'failure' in probe)
  if (failed) return `in its self-test ${failed.failure}`
  const numbers = probes.flatMap((probe) => ('facts' in probe ? (probe.facts.random as string[]) : []))
  if (new Set(numbers).size < numbers.length || numbers.length === 0)
    return 'in its self-test two children had the same random numbers'
}

async function probeOne(zygote: Zygote): Promise<Seen | Failure> {
  const birth = await zygote.fork()
  if ('failure' in birth) return birth
  const child = new Child(birth, { modules: [], once: true, jobsAtOnce: 1, onEnded: () => {} })
  let isLate = false
  const callOff = startDeadline(DEADLINE_MS, () => {
    isLate = true
    child.kill('SIGKILL')
  })
  child.send({ kind: 'probe' })
  const [facts, ending] = await Promise.all([Promise.race([child.probed, child.closed]), child.closed])
  callOff()
  if (isLate) return { failure: `a child was not done within ${DEADLINE_MS / 1000} s` }
  const words = child.lastWords().trim().split('\n').at(-1)
  if (ending.exitCode !== PROBE_EXIT_CODE)
    return { failure: `a child ${describeEnding(ending)}${words && `: ${words}`}` }
  const { pid, kernelPid, derivedBytes, random } = facts as Record<string, unknown>
  if (pid !== child.pid || kernelPid !== child.pid || derivedBytes !== 32 || !Array.isArray(random))
    return { failure: 'a child got wrong answers' }
  return { facts: facts as Record<string, unknown>, ending }
}
