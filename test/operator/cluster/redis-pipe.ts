// A process that passes everything on to a Redis: frozen by SIGSTOP, it is a network that swallows everything without a word, for those alone
// who came this way. Arguments: host and port. Output: its own port.
import { type AddressInfo, connect, createServer } from 'node:net'

const [host = '', port = ''] = process.argv.slice(2)
const server = createServer((client) => {
  const redis = connect(Number(port), host)
  for (const [socket, other] of [[client, redis] as const, [redis, client] as const]) {
    socket.on('error', () => other.destroy())
    socket.pipe(other)
  }
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`))
