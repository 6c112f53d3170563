// A program that runs what `millhand up` runs in the folder it is given, says what it started, and waits to be killed.
import { startLocal } from '@millhand/cli/local'

const folder = process.argv[2] ?? ''
const local = await startLocal({
  paths: ['.'],
  reload: true,
  outside: { workingFolder: folder },
  onEvent(event) {
    if (event.kind !== 'worker-ready') return
    console.log(JSON.stringify({ worker: event.pid, redis: local.redisPid(), redisUrl: local.redisUrl }))
  },
})
