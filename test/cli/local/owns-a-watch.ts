// Watches a folder until its stdin ends, as `millhand up` does, and says what troubles it. Run by reload.test.ts with fewer rights.
import { watchFiles } from '../../../cli/src/local/reload.ts'

const reload = await watchFiles({
  paths: [process.argv[2] ?? ''],
  onCode: (files) => console.log(`saved ${files.join()}`),
  onManifests: () => {},
  onTrouble: console.log,
})
console.log('watching')
process.stdin.resume().on('end', () => reload.stop())
