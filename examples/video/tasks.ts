// The tasks of this example. Films are files: in a cluster all workers need a common volume, or tasks that fetch and
// store them. ffmpeg runs with the signal of its job, so a timeout or a cancellation ends it too.
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join as pathOf } from 'node:path'
import { promisify } from 'node:util'
import { type Job, TerminalError, task } from 'millhand'

const PIECE_SECONDS = 2

export interface Piece {
  film: string
  folder: string
  number: number
}

/** Looks how long the film is, and adds a job for each piece of it: their number is known only now. */
export const cut = task('cut', async ({ film, folder }: { film: string; folder: string }, job) => {
  const seconds = await secondsOf(film, job)
  for (let number = 0; number * PIECE_SECONDS < seconds; number += 1)
    await job.add<typeof transcode>('video', 'transcode', { film, folder, number })
  return { seconds }
})

export const transcode = task('transcode', async ({ film, folder, number }: Piece, job) => {
  const piece = pathOf(folder, `piece-${number}.mp4`)
  const from = ['-ss', `${number * PIECE_SECONDS}`, '-t', `${PIECE_SECONDS}`, '-i', film]
  await run('ffmpeg', ['-y', ...from, '-vf', 'scale=160:-2', '-preset', 'veryfast', piece], job)
  return piece
})

export const join = task('join', async ({ pieces, folder }: { pieces: string[]; folder: string }, job) => {
  const [list, film] = [pathOf(folder, 'pieces.txt'), pathOf(folder, 'small.mp4')]
  await writeFile(list, pieces.map((piece) => `file '${piece}'\n`).join(''))
  await run('ffmpeg', ['-y', '-f', 'concat', '-safe', '0', '-i', list, '-c', 'copy', film], job)
  return { film, seconds: await secondsOf(film, job) }
})

export const notify = task(
  'notify',
  ({ film, seconds }: { film: string; seconds: number }) => `${film} is ready: ${seconds.toFixed(1)} s`,
)

async function secondsOf(film: string, job: Job): Promise<number> {
  const asked = ['-show_entries', 'format=duration', '-of', 'csv=p=0']
  return Number(await run('ffprobe', [...asked, film], job))
}

async function run(program: string, args: readonly string[], { signal }: Job): Promise<string> {
  try {
    return (await promisify(execFile)(program, ['-v', 'error', ...args], { signal })).stdout
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOENT') throw error
    throw new TerminalError(`${program} is not installed: apt-get install ffmpeg, or brew install ffmpeg`)
  }
}
