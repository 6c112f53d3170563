// The API server for a leader: whoever does not lead any more writes nothing more, also in the middle of a reconcile.
import type { Kube } from './client.ts'

export class NotLeading extends Error {
  override name = 'NotLeading'
}

/** Throws when this operator does not lead any more. */
export function leadingCheck(isLeading: () => boolean): () => void {
  return () => {
    if (!isLeading()) throw new NotLeading('this operator does not lead any more: nothing is written')
  }
}

export function onlyWhile(check: () => void, kube: Kube): Kube {
  return {
    server: kube.server,
    listWatch: kube.listWatch,
    findOne: (kind, namespace, name) => kube.findOne(kind, namespace, name),
    get: (kind, namespace, name) => kube.get(kind, namespace, name),
    leases: (namespace, name) => kube.leases(namespace, name),
    close: () => kube.close(),
    apply: async (kind, object, options) => {
      check()
      return kube.apply(kind, object, options)
    },
    mergePatch: async (kind, namespace, name, patch) => {
      check()
      return kube.mergePatch(kind, namespace, name, patch)
    },
    createEvent: async (event) => {
      check()
      return kube.createEvent(event)
    },
  }
}
