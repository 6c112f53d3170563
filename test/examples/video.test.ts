// The example of video with the real ffmpeg: a film that is made here becomes a smaller one of the same length.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { millhand, PATIENCE_MS, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { installPackages } from '../cluster/needs.ts'
import { findProgram } from '../cluster/run.ts'
import { RedisServer } from '../redis-server.ts'

const EXAMPLE = fileURLToPath(new URL('../../examples/video', import.meta.url))
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'millhand-video-'))
const large = join(folder, 'large.mp4')
const [, make = ''] = /^(ffmpeg .*)$/m.exec(readFileSync(join(EXAMPLE, 'README.md'), 'utf8')) ?? []

let server: RedisServer
/** Debian's ffmpeg; it is installed where it is missing and apt is there. */
beforeAll(async () => {
  server = await RedisServer.start()
  if (!(await findProgram('ffmpeg'))) {
    process.stderr.write('Installing with apt-get: ffmpeg\n')
    await installPackages(['ffmpeg'])
  }
  const [program = '', ...args] = make.replace('/tmp/film/large.mp4', large).split(' ')
  await run(program, ['-v', 'error', ...args])
}, 600_000)
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await server.remove()
})

const filmOf = (path: string, env: NodeJS.ProcessEnv = {}) =>
  run(process.execPath, ['--conditions=millhand-source', join(EXAMPLE, 'film.ts'), path, folder], {
    env: { ...process.env, MILLHAND_REDIS_URL: server.url, ...env },
  })
const streamOf = async (film: string) => {
  const asked = ['-show_entries', 'format=duration:stream=codec_name,width,height', '-of', 'json']
  const { format, streams } = JSON.parse((await run('ffprobe', ['-v', 'error', ...asked, film])).stdout)
  return { ...streams[0], seconds: Number(format.duration) }
}

test(
  'a film is cut, transcoded in pieces, joined and told of; one that is no film fails',
  async () => {
    const running = startMillhand(['up', '-f', EXAMPLE, '--redis', server.url, '--no-dashboard'])
    try {
      await running.says(/^ready: /m)
      const { stdout } = await filmOf(large)
      const [follow = '', told] = stdout.trim().split('\n')
      expect(told).toBe(`${join(folder, 'small.mp4')} is ready: 6.0 s`)
      const small = await streamOf(join(folder, 'small.mp4'))
      expect(small).toMatchObject({ codec_name: 'h264', width: 160, height: 90 })
      expect(small.seconds).toBeCloseTo((await streamOf(large)).seconds, 1)

      const words = follow.split(' ').slice(1, 4)
      const { stdout: tree } = await millhand([...words, '--redis', server.url])
      expect(tree).toMatch(/jobs +6 of 6 completed/)
      expect([...tree.matchAll(/cut\.(\d) +completed/g)].map(([, piece]) => piece)).toEqual(['0', '1', '2'])
      expect(tree).toMatch(/join +completed[^\n]*\n +notify +completed/)

      await expect(filmOf(join(EXAMPLE, 'README.md'))).rejects.toMatchObject({
        stderr: expect.stringContaining('job cut is buried'),
      })
    } finally {
      await stopAtOnce(running)
    }
  },
  3 * PATIENCE_MS,
)
