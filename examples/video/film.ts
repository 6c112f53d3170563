// Makes a small film of a large one: node film.ts FILM FOLDER. Called again after a failure it goes on with what is
// missing. MILLHAND_REDIS_URL and MILLHAND_NAMESPACE say where the queues are.
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { connect, flow } from 'millhand/client'
import type { cut, join, notify } from './tasks.ts'

const [film = '', folder = ''] = process.argv.slice(2).map((path) => resolve(path))
if (folder === '') throw new Error('name the film, and the folder for what is made of it')

const plan = flow(`film-${createHash('sha256').update(`${film}\n${folder}`).digest('hex').slice(0, 12)}`)
const pieces = plan.add<typeof cut>('video', 'cut', { film, folder })
const joined = plan.add<typeof join>('video', 'join', { pieces: pieces.added as string[], folder })
plan.add<typeof notify>('mail', 'notify', joined.result)

const client = connect()
const run = await client.start<string>(plan)
if ((await run.state()) === 'failed') await run.retry()
console.log(`millhand flows video ${run.id} --follow`)
try {
  console.log(await run.result())
} finally {
  client.close()
}
