// A TCP proxy in its own process that delays the answers of the server by a millisecond. Started by
// b10-far-redis.ts, because not every kernel can delay its loopback (tc netem).
// Argument: the server's port.
import { connect, createServer } from 'node:net'

const port = Number(process.argv[2])
const server = createServer((client) => {
  const redis = connect(port, '127.0.0.1')
  for (const socket of [client, redis]) socket.setNoDelay(true).on('error', () => {})
  client.on('data', (chunk) => redis.write(chunk))
  redis.on('data', (chunk) => setTimeout(() => client.write(chunk), 1))
  client.on('close', () => redis.destroy())
  redis.on('close', () => client.destroy())
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(JSON.stringify({ ready: true, port: typeof address === 'object' ? address?.port : 0 }))
})
process.stdin.on('end', () => process.exit(0)).resume()
