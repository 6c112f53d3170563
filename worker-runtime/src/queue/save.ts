// What a task saves with its job while it runs (lua/save.lua): the values of its steps and its last
// checkpoint, as JSON texts.
import { amountOf, listOf, oneOf, pairsOf, textOf } from './answers.ts'
import type { Verbs } from './verbs.ts'

/** The proof that an attempt holds its job. */
export interface Holder {
  readonly worker: string
  readonly id: string
  readonly token: string
}

export interface Saved {
  /** By name. */
  readonly steps: ReadonlyMap<string, string>
  readonly checkpoint: string | undefined
}

export type WasSaved =
  | { readonly kind: 'saved' }
  | { readonly kind: 'not-held' }
  /** So many bytes it would have been. */
  | { readonly kind: 'full'; readonly bytes: number }

/** More than a job may save: another program wrote it. */
const MOST_CHARACTERS = 1024 * 1024

/** Undefined where the attempt does not hold its job any more. */
async function saved(verbs: Verbs, { worker, id, token }: Holder): Promise<Saved | undefined> {
  const [kind, pairs] = listOf(await verbs.run('save', [worker, id, token]), 'what a job has saved', 2)
  if (oneOf(kind, 'a job', ['held', 'not-held']) === 'not-held') return undefined
  const steps = new Map<string, string>()
  let checkpoint: string | undefined
  let left = MOST_CHARACTERS
  for (const pair of pairsOf(pairs)) {
    const [field = '', value = ''] = pair.map((each) => textOf(each, 'what a job has saved', left))
    left -= value.length
    if (field.startsWith(STEP)) steps.set(field.slice(STEP.length), value)
    else checkpoint = value
  }
  return { steps, checkpoint }
}

const saveStep = (verbs: Verbs, holder: Holder, name: string, json: string): Promise<WasSaved> =>
  save(verbs, holder, STEP + name, json)

const saveCheckpoint = (verbs: Verbs, holder: Holder, json: string): Promise<WasSaved> =>
  save(verbs, holder, 'checkpoint', json)

export const saving = { saved, saveStep, saveCheckpoint }

const STEP = 'step:'

async function save(
  verbs: Verbs,
  { worker, id, token }: Holder,
  field: string,
  json: string,
): Promise<WasSaved> {
  return verbs.write('save', [worker, id, token, field, json], (answer) => {
    const [word, bytes] = listOf(answer, 'the answer to a save', 2)
    const kind = oneOf(word, 'the answer to a save', ['saved', 'full', 'not-held'])
    return kind === 'full' ? { kind, bytes: amountOf(bytes, 'the bytes that a job saves') } : { kind }
  })
}
