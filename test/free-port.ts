// A port of the loopback that nobody uses now. The system gives the same one again soon: here each is given once.
import { createServer } from 'node:net'

const given = new Set<number>()

export async function freePort(): Promise<number> {
  for (;;) {
    const port = await portOfTheSystem()
    if (given.has(port)) continue
    given.add(port)
    return port
  }
}

function portOfTheSystem(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
