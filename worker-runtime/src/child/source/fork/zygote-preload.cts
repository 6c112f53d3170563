// What the zygote loads before whatever NODE_OPTIONS names (zygote.ts): zygote-first.ts, in the main thread alone. A thread for module hooks
// (--import with register()) loads the same options, and Node 22 cannot load an ES module there by require.
const { isMainThread } = require('node:worker_threads') as typeof import('node:worker_threads')
if (isMainThread) require(__filename.endsWith('.cts') ? './zygote-first.ts' : './zygote-first.js')
