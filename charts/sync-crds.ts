// Copies the CRDs into the chart: Helm packs no file from outside of a chart. Run after each change of crds/:  node charts/sync-crds.ts
// test/charts/crds.test.ts says so where it was forgotten.
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs'

const source = new URL('../crds/', import.meta.url)
const target = new URL('millhand/files/crds/', import.meta.url)

mkdirSync(target, { recursive: true })
for (const name of readdirSync(source)) copyFileSync(new URL(name, source), new URL(name, target))
