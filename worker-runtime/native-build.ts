// npm run native: compiles src/child/source/fork/*.c into prebuilt/, for every platform that has a compiler here. The files are committed and
// carry the hash of their sources, which a test compares. Debian: apt-get install gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const COMPILERS = { x64: 'x86_64-linux-gnu-gcc', arm64: 'aarch64-linux-gnu-gcc' }
const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const folder = pathOf('./src/child/source/fork')
const sources = readdirSync(folder)
  .filter((file) => /\.[ch]$/.test(file))
  .sort()
const hash = createHash('sha256')
for (const file of sources) hash.update(readFileSync(join(folder, file)))
const sourceHash = hash.digest('hex')
const compiled = sources.filter((file) => file.endsWith('.c')).map((file) => join(folder, file))
const headers = fileURLToPath(new URL('./include', import.meta.resolve('node-api-headers')))

for (const [arch, compiler] of Object.entries(COMPILERS)) {
  const target = pathOf(`./prebuilt/linux-${arch}-glibc/fork.node`)
  mkdirSync(dirname(target), { recursive: true })
  const flags = [
    '-std=gnu17',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Wno-unused-parameter',
    '-Werror',
    '-shared',
    '-fPIC',
    '-fvisibility=hidden',
    '-s',
  ]
  const defines = ['-DNAPI_VERSION=8', `-DSOURCE_HASH="${sourceHash}"`]
  execFileSync(compiler, [...flags, ...defines, '-I', headers, '-o', target, ...compiled], {
    stdio: 'inherit',
  })
}
