// A module that keeps connection when it loads: no process that has done so can be forked.

import { connect, createServer } from 'node:net'
import { task } from '../../worker-runtime/src/index.ts'

// Nothing waits for it, as with the idle connection of a pool.
const server = createServer().listen(0, '127.0.0.1')
await new Promise((listening) => server.once('listening', listening))
const socket = connect((server.address() as { port: number }).port, '127.0.0.1').unref()
await new Promise((connected) => socket.ref().once('connect', connected))
socket.unref()
server.unref()
export const loaded = task('loaded', () => 'loaded')
