// Signals in a child. The worker tells a child to end by a message (entry.ts), and code of the user gets that
// as SIGTERM. A signal without the message is meant for the worker, which lets its jobs end: systemd, PM2 and
// others signal all processes of a service.

const MEANT_FOR_THE_WORKER: readonly unknown[] = ['SIGTERM', 'SIGINT', 'SIGHUP']
const ignore = () => {}
let emit: (...event: unknown[]) => boolean

/**
 * Before any code of the user: Node hands a signal to the `emit` that there was when its first listener came.
 */
export function ignoreSignalsOfOthers(): void {
  emit = process.emit.bind(process) as typeof emit
  const emitOwn = (...event: unknown[]) => !MEANT_FOR_THE_WORKER.includes(event[0]) && emit(...event)
  Object.assign(process, { emit: emitOwn })
  for (const signal of MEANT_FOR_THE_WORKER as NodeJS.Signals[]) process.on(signal, ignore)
  // Without any listener a signal would end the process.
  process.on('removeListener', (name) => {
    if (MEANT_FOR_THE_WORKER.includes(name) && process.listenerCount(name) === 0) process.on(name, ignore)
  })
}

export function hasListenerForEnd(): boolean {
  return process.listeners('SIGTERM').some((listener) => listener !== ignore)
}

export function tellListenersOfEnd(): void {
  emit('SIGTERM', 'SIGTERM', 15)
}
