// A controller for each kind, over one world. Started by the operator's main.ts while it leads, and by
// `millhand up`.
import { type Controller, type ControllerObserver, startController } from './engine/controller.ts'
import { type EngineContext, kinds } from './kinds.ts'
import { KINDS, type Kind } from './resources/schemas.ts'

export interface Controllers {
  look(kind: Kind, key: string): void
  /** Resolves when what is running has ended. */
  stop(): Promise<void>
}

export function startControllers(
  context: EngineContext,
  { observer }: { observer?: ControllerObserver } = {},
): Controllers {
  const controllers = new Map<Kind, Controller>(
    KINDS.map((kind) => {
      const { atOnce, reconciler } = kinds[kind]
      const name = kind.toLowerCase()
      const reconcile = reconciler(context)
      return [
        kind,
        startController({ name, reconcile, ...atOnce, log: context.log, ...(observer && { observer }) }),
      ]
    }),
  )
  return {
    look: (kind, key) => controllers.get(kind)?.enqueue(key),
    stop: async () => {
      await Promise.all([...controllers.values()].map((controller) => controller.stop()))
    },
  }
}
