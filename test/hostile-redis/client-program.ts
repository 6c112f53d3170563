// A program that enqueues, as a user would write it, in front of one persona after the other in each form. Tells what came of it, and how much it
// took. A program of its own, so that what nobody catches is seen, and its memory is its alone.
import { readdirSync } from 'node:fs'
import { connect } from 'millhand/client'
import { PERSONAS, personas } from './personas.ts'
import { FORMS, HostileServer } from './server.ts'

const DEADLINE_MS = 1_000
/** At once. */
const LANES = 12

const uncaught: string[] = []
for (const event of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(event, (error: unknown) =>
    uncaught.push(`${event}: ${error instanceof Error ? error.stack : error}`),
  )

const openFiles = () => readdirSync('/proc/self/fd').length
let mostFiles = 0
const watching = setInterval(() => {
  mostFiles = Math.max(mostFiles, openFiles())
}, 20)

const told: Record<string, string> = {}
const cases = PERSONAS.flatMap((name) => FORMS.map((form) => ({ name, form })))
// Node opens some files for itself when it is first asked for something, and keeps them.
await play({ name: 'garbage', form: 'server' })
const before = { files: openFiles(), rssBytes: process.memoryUsage().rss }
const queue = cases.values()
await Promise.all(
  Array.from({ length: LANES }, async () => {
    for (const each of queue) await play(each)
  }),
)
// What is thrown on a next tick has been by then.
await new Promise((resolve) => setTimeout(resolve, 300))
clearInterval(watching)
console.log(
  JSON.stringify({
    told,
    uncaught,
    mostFiles: mostFiles - before.files,
    filesLeft: openFiles() - before.files,
    mostBytes: process.resourceUsage().maxRSS * 1024 - before.rssBytes,
  }),
)
process.exit(0)

async function play({ name, form }: (typeof cases)[number]): Promise<void> {
  const server = await HostileServer.start(personas[name])
  const client = connect({ redis: server.urlFor(form), deadlineMs: DEADLINE_MS })
  const jobs = client.queue('hostile')
  const asked = [
    jobs.enqueue('task', { n: 1 }),
    jobs.enqueue('task', { n: 1 }, { durability: 'replicated' }),
    jobs.job('some-id').details(),
    jobs.job('some-id').result({ timeoutMs: DEADLINE_MS }),
  ]
  const ended = await Promise.allSettled(asked)
  told[`${name}, ${form}`] = ended
    .map((each) => (each.status === 'fulfilled' ? 'answered' : nameOf(each.reason)))
    .join(' ')
  client.close()
  server.stop()
}

function nameOf(error: Error & { code?: string; maybeDone?: boolean }): string {
  return [error.name, error.code, error.maybeDone && 'maybeDone'].filter(Boolean).join('/')
}
