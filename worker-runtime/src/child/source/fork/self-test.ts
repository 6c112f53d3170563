// Tests whether forks of this zygote work, before a job depends on it: three children at once try what jobs
// need (probe.ts), and the worker checks their messages and their ends.
import { startDeadline } from '../../../deadline.ts'
import { Child } from '../../child.ts'
import { describeEnding } from '../../outcome.ts'
import { PROBE_EXIT_CODE } from './probe.ts'
import type { Unfit, Zygote } from './zygote.ts'

const PROBES = 3
const DEADLINE_MS = 10_000
/** A broken fork dies of another signal, SIGSEGV or SIGABRT. */
const FROM_OUTSIDE = ['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP']

/**
 * Somebody killed the zygote or a child, or the machine was too busy: the next try may succeed.
 */
export type Accident = { accident: string }

interface Seen {
  facts: Record<string, unknown>
}

/** Why its forks cannot be used; undefined: they can. */
export async function whyUnusable(zygote: Zygote): Promise<Unfit | Accident | undefined> {
  const probes = await Promise.all(Array.from({ length: PROBES }, () => probeOne(zygote)))
  const refused = probes.find((probe) => 'unfit' in probe)
  if (refused) return refused
  const numbers = probes.flatMap((probe) => ('facts' in probe ? (probe.facts.random as string[]) : []))
  if (new Set(numbers).size < numbers.length)
    return { unfit: 'in its self-test two children had the same random numbers' }
  return probes.find((probe) => 'accident' in probe)
}

async function probeOne(zygote: Zygote): Promise<Seen | Unfit | Accident> {
  const birth = await zygote.fork()
  if ('failure' in birth) return { accident: `in its self-test ${birth.failure}` }
  const child = new Child(birth, { modules: [], once: true, jobsAtOnce: 1, onEnded: () => {} })
  let isLate = false
  const callOff = startDeadline(DEADLINE_MS, () => {
    isLate = true
    child.kill('SIGKILL')
  })
  child.send({ kind: 'probe' })
  const [facts, ending] = await Promise.all([Promise.race([child.probed, child.closed]), child.closed])
  callOff()
  if (isLate) return { accident: `in its self-test a child was not done within ${DEADLINE_MS / 1000} s` }
  const words = child.lastWords().trim().split('\n').at(-1)
  const how = `in its self-test a child ${describeEnding(ending)}${words && `: ${words}`}`
  if (ending.signal !== undefined && FROM_OUTSIDE.includes(ending.signal)) return { accident: how }
  if (ending.exitCode !== PROBE_EXIT_CODE) return { unfit: how }
  const { pid, kernelPid, derivedBytes, random } = facts as Record<string, unknown>
  if (pid !== child.pid || kernelPid !== child.pid || derivedBytes !== 32 || !Array.isArray(random))
    return { unfit: 'in its self-test a child got wrong answers' }
  return { facts: facts as Record<string, unknown> }
}
