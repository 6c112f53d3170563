// Makes of the Lua files a module of the built package: node lua-build.ts <dist>. It takes the place of what tsc made of src/queue/lua.ts, because
// a program that is bundled has no files beside it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const [dist = 'dist'] = process.argv.slice(2)
const folder = fileURLToPath(new URL('src/queue/lua/', import.meta.url))
const texts = Object.fromEntries(
  readdirSync(folder).map((name) => [name.replace(/\.lua$/, ''), readFileSync(join(folder, name), 'utf8')]),
)
writeFileSync(
  join(dist, 'queue/lua.js'),
  `const texts = ${JSON.stringify(texts, undefined, 1)}\nexport const luaOf = (name) => texts[name]\n`,
)
