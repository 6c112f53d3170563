// The task of this example: makes one thumbnail of one photo. Workers load this file; who enqueues needs only its type.
import { mkdir, realpath, rename } from 'node:fs/promises'
import { dirname, extname, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TerminalError, task } from 'millhand'
import sharp from 'sharp'

export interface ThumbnailInput {
  /** A photo, by its path below photos/. */
  file: string
  /** In pixels. A photo that is smaller is not made larger. */
  width: number
  /** Where to write, below the output folder; .webp, .jpg or .jpeg. */
  out: string
  /** 1 to 100. */
  quality?: number
}

// Whoever may enqueue names files. So they are confined: photos are read below one folder, thumbnails written below another.
const PHOTOS = fileURLToPath(new URL('./photos', import.meta.url))
const OUT = resolve(process.env.THUMBNAILS_OUT ?? 'thumbnails-out')

const FORMATS: Record<string, 'webp' | 'jpeg'> = { '.webp': 'webp', '.jpg': 'jpeg', '.jpeg': 'jpeg' }

// The pool's slots say how much runs at once.
sharp.concurrency(1)

export const thumbnail = task('thumbnail', async (input: ThumbnailInput, job) => {
  const { file, out, width, quality } = checked(input)
  const photo = below(PHOTOS, await realpath(below(PHOTOS, file)))
  const target = below(OUT, out)
  await mkdir(dirname(target), { recursive: true })
  await job.progress({ step: 'resizing', file, width })

  // Whoever looks at the folder sees whole pictures only, even when this process is killed in the middle.
  const part = `${target}.${process.pid}.part`
  const made = await sharp(photo)
    .autoOrient()
    .resize({ width, withoutEnlargement: true })
    .toFormat(FORMATS[extname(target)] ?? 'webp', { quality })
    .toFile(part)
  await rename(part, target)
  await job.progress({ step: 'written', file, width: made.width })
  return { path: target, width: made.width, height: made.height, bytes: made.size }
})

/** What is wrong with the input is wrong the next time too: a TerminalError, so that nobody tries again. */
function checked(input: ThumbnailInput): Required<ThumbnailInput> {
  const { file, width, out, quality = 80 } = input ?? {}
  if (typeof file !== 'string') throw new TerminalError('file is missing: the name of a photo')
  if (!isWholeNumber(width, 1, 4_096)) throw new TerminalError('width is a whole number from 1 to 4096')
  if (!isWholeNumber(quality, 1, 100)) throw new TerminalError('quality is a whole number from 1 to 100')
  if (typeof out !== 'string' || !(extname(out) in FORMATS))
    throw new TerminalError(`out is a path that ends in ${Object.keys(FORMATS).join(', ')}`)
  return { file, width, out, quality }
}

function isWholeNumber(value: unknown, least: number, most: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}

function below(folder: string, path: string): string {
  const found = resolve(folder, path)
  if (found.startsWith(folder + sep)) return found
  throw new TerminalError(`${path} is not below ${folder}`)
}
