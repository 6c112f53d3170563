#!/usr/bin/env node
// Starts the worker, src/main.ts, wherever it runs: in a pod, by `millhand up`, by hand. Refuses a Node that
// is too old, keeps the heap small, and listens for signals from the first moment on. In the repository it
// runs the sources.
import { existsSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { setFlagsFromString } from 'node:v8'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 19)) {
  console.error(
    `millhand-worker needs Node 22.19 or newer; this is ${process.versions.node}. In a project: npm install --save-dev node@24`,
  )
  process.exit(1)
}
// A worker makes much garbage that lives for milliseconds. V8 would double its young generation for it again
// and again, and would collect the old one only when it is four times as large as what lives, and it keeps
// the pages. Here the young generation stays as small as it is, so this comes before anything is loaded; and
// the old one is collected when it has grown by 70 %. The zygote and the children do not inherit it.
setFlagsFromString('--semi-space-growth-factor=1')
setFlagsFromString('--heap-growing-percent=70')
// PID 1 never receives a SIGTERM without a listener, and would be killed after its grace period. Nothing has
// begun yet; main takes over from here (stopSignals).
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.once(signal, () => process.exit(0))
if (existsSync(new URL('../src', import.meta.url))) {
  nodeModule.registerHooks({
    resolve: (specifier, context, next) =>
      next(specifier, { ...context, conditions: ['millhand-source', ...context.conditions] }),
  })
  await import(new URL('../src/main.ts', import.meta.url).href)
} else {
  await import(new URL('../dist/main.js', import.meta.url).href)
}
