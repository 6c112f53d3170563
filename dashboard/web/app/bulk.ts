// Bulk actions: counted first, begun, followed until they end, and undone where that is possible.
import type { Action, ActionCount, ActionRequest, Undone } from '../../src/api.ts'
import { type JobVerb, VERBS } from './acting.ts'
import { address, get, send, sentence } from './api.ts'
import { count, plural } from './numbers.ts'
import { partsOf } from './queues.ts'
import { go, to } from './router.ts'
import { say } from './toasts.ts'

const LOOK_EVERY_MS = 400
const QUICK_MS = 2_000
export const UNDO_WITHIN_MS = 60_000

const path = (queue: string, ...more: string[]) => ['queues', ...partsOf(queue), 'actions', ...more]
export const actionsHref = (queue: string): string => to(['actions'], { queue })

/** How many jobs the verb would be about. Throws ApiError. */
export const countJobs = (queue: string, verb: JobVerb, filter: string): Promise<ActionCount> =>
  get(address(path(queue, 'count'), { verb, filter }))

/** Begins it and follows it; says how it went. Undefined where it did not begin. */
export async function act(queue: string, request: ActionRequest): Promise<Action | undefined> {
  try {
    const begun = await send<Action>('POST', address(path(queue)), request)
    const ended = await followed(queue, begun)
    tell(queue, ended)
    return ended
  } catch (error) {
    say(sentence(error), 'bad')
    return undefined
  }
}

async function followed(queue: string, begun: Action): Promise<Action> {
  const sinceMs = performance.now()
  let action = begun
  let isTold = false
  while (action.state === 'running') {
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
    action = await get<Action>(address(path(queue, action.id)))
    if (isTold || performance.now() - sinceMs < QUICK_MS) continue
    isTold = true
    say(`${VERBS[action.verb].label} goes on by itself.`, 'plain', {
      action: { label: 'Show progress', run: () => go(actionsHref(queue)) },
    })
  }
  return action
}

function tell(queue: string, action: Action): void {
  const { done, skipped, failed, state, verb, id } = action
  const text = [
    `${plural(done, 'job was', 'jobs were')} ${VERBS[verb].done}`,
    skipped > 0 && `${count(skipped)} were skipped: their state no longer allows it`,
    failed > 0 && `${count(failed)} could not be read`,
    state === 'aborted' && 'it was aborted',
  ]
  const undo =
    verb === 'delete' && done > 0 ? { label: 'Undo', run: () => void undoAction(queue, id) } : undefined
  const tone = failed > 0 ? 'bad' : done > 0 ? 'good' : 'plain'
  say(`${text.filter(Boolean).join('; ')}.`, tone, undo && { action: undo, stayMs: UNDO_WITHIN_MS })
}

export async function undoAction(queue: string, id: string): Promise<void> {
  try {
    const { restored } = await send<Undone>('POST', address(path(queue, id, 'undo')))
    say(`${plural(restored, 'deleted job')} came back.`, 'good')
  } catch (error) {
    say(sentence(error), 'bad')
  }
}

export async function abortAction(queue: string, id: string): Promise<void> {
  try {
    await send<Action>('POST', address(path(queue, id, 'abort')))
    say('It goes on no further. What is done stays done.')
  } catch (error) {
    say(sentence(error), 'bad')
  }
}
