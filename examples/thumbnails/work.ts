// What the demo has to do, as data: one job for each photo in each width. And afterwards: whether it was done.
import { readdir, stat } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { EnqueueRequest, JobDetails } from 'millhand/client'
import sharp from 'sharp'
import type { ThumbnailInput, thumbnail } from './tasks.ts'

export const PHOTOS = fileURLToPath(new URL('./photos', import.meta.url))
const WIDTHS = [80, 160, 240, 320]
/** Between two widths there is room for so many others. */
export const MOST_TIMES = 20

export type Order = EnqueueRequest<typeof thumbnail>

export async function photos(): Promise<string[]> {
  return (await readdir(PHOTOS)).filter((file) => /\.(jpe?g|png)$/.test(file)).sort()
}

/** `times` as many widths, each with a quality of its own. `options` go with every job. */
export function ordersFor(files: readonly string[], times: number, options: Order['options'] = {}): Order[] {
  const steps = Array.from({ length: times }, (_, step) => step)
  const sizes = steps.flatMap((step) =>
    WIDTHS.map((width) => ({ width: width + 4 * step, quality: 80 - step })),
  )
  return files.flatMap((file) =>
    sizes.map(({ width, quality }) => {
      const { name } = parse(file)
      const input: ThumbnailInput = { file, width, quality, out: `${name}-${width}.webp` }
      return { task: 'thumbnail', input, options }
    }),
  )
}

/** What is wrong with a job that should have made a thumbnail; undefined when nothing is. */
export async function faultOf(
  order: Order,
  job: JobDetails | undefined,
  folder: string,
): Promise<string | undefined> {
  const { out, width } = order.input
  if (job?.state !== 'completed' || !job.ended) return `${out}: its job is ${job?.state ?? 'lost'}`
  const { bytes } = JSON.parse(job.ended.result)
  try {
    const path = join(folder, out)
    const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true })
    if (info.width !== width || data.length === 0)
      return `${out}: it is ${info.width} pixels wide, not ${width}`
    if ((await stat(path)).size !== bytes) return `${out}: it is not the file that the job wrote`
  } catch (error) {
    return `${out}: ${error instanceof Error ? error.message : error}`
  }
}
