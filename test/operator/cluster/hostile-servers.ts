// A process in the cluster's network that pretends to be many Redis servers, one for each persona that its arguments name. Output: their
// ports, as JSON.
import { type PersonaName, personas } from '../../hostile-redis/personas.ts'
import { HostileServer } from '../../hostile-redis/server.ts'

const servers = await Promise.all(
  process.argv.slice(2).map((name) => HostileServer.start(personas[name as PersonaName])),
)
process.stdout.write(`${JSON.stringify(servers.map(({ port }) => port))}\n`)
