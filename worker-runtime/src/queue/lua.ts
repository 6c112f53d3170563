// The texts of the scripts: from sources, the files. In the package another module stands here, which has
// them in it (lua-build.ts).
import { readFileSync } from 'node:fs'

export const luaOf = (name: string): string =>
  readFileSync(new URL(`./lua/${name}.lua`, import.meta.url), 'utf8')
