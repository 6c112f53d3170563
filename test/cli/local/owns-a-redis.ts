// A program that starts an embedded Redis in the folder it is given, says so, and waits to be killed.
import { startEmbeddedRedis, startGuard, theOutside } from '@millhand/cli/local'

const folder = process.argv[2] ?? ''
const guard = startGuard()
guard.removeAtEnd(folder)
const redis = await startEmbeddedRedis({ outside: theOutside(), guard, folder, isPersistent: false })
console.log(JSON.stringify({ pid: redis.pid, port: redis.port, guard: guard.pid }))
