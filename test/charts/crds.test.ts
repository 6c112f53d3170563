// The chart's CRDs are those of crds/, which everything else is written against.
import { readdirSync, readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { chart, ofKind, render, renderText } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const source = new URL('../../crds/', import.meta.url)
const files = readdirSync(source)
const read = (file: string) => readFileSync(new URL(file, source), 'utf8')

const KEEP = '  annotations:\n    helm.sh/resource-policy: keep\n'

test('the chart carries the CRDs of crds/ (if this fails: node charts/sync-crds.ts)', () => {
  expect(readdirSync(`${chart}/files/crds`)).toEqual(files)
  for (const file of files) expect(readFileSync(`${chart}/files/crds/${file}`, 'utf8')).toBe(read(file))
})

test('they are rendered byte for byte', async () => {
  const text = await renderText({ crds: { keep: false } })
  expect(files.filter((file) => !text.includes(`\n${read(file)}`))).toEqual([])
})

test('they stay when the release goes: one annotation more, and nothing else', async () => {
  const text = await renderText()
  expect(text.split(KEEP)).toHaveLength(files.length + 1)
  const without = text.replaceAll(KEEP, '')
  expect(files.filter((file) => !without.includes(`\n${read(file)}`))).toEqual([])
})

test('somebody else may install them', async () => {
  expect(ofKind(await render({ crds: { install: false } }), 'CustomResourceDefinition')).toEqual([])
  expect(ofKind(await render(), 'CustomResourceDefinition')).toHaveLength(files.length)
})
