// The chart's CRDs are those of crds/, which everything else is written against.
import { readdirSync, readFileSync } from 'node:fs'
import { jest } from '@jest/globals'
import { parse } from 'yaml'
import { chart, defaults, ofKind, readChart, render } from './chart.ts'

jest.setTimeout(600_000) // the first call of a tool fetches it

const source = new URL('../../crds/', import.meta.url)
const files = readdirSync(source)
const read = (file: string) => readFileSync(new URL(file, source), 'utf8')

test('the chart carries the CRDs of crds/ (if this fails: node charts/sync-crds.ts)', () => {
  expect(readdirSync(`${chart}/files/crds`)).toEqual(files)
  for (const file of files) expect(readFileSync(`${chart}/files/crds/${file}`, 'utf8')).toBe(read(file))
})

test.each([true, false])('they are rendered as they are, with labels, and kept: %s', async (keep) => {
  const crds = ofKind(
    await render({ crds: { keep }, commonLabels: { team: 'a' } }),
    'CustomResourceDefinition',
  )
  const own = files.map((file) => parse(read(file)))
  const annotations = keep ? { 'helm.sh/resource-policy': 'keep' } : undefined
  for (const [index, crd] of crds.entries()) {
    const { metadata, ...rest } = own[index]
    const { labels, ...others } = crd.metadata
    expect({ ...crd, metadata: others }).toEqual({
      ...rest,
      metadata: { ...metadata, ...(annotations && { annotations }) },
    })
    expect(labels).toMatchObject({ team: 'a', 'app.kubernetes.io/part-of': 'millhand' })
  }
  expect(crds).toHaveLength(own.length)
})

test('somebody else may install them', async () => {
  expect(ofKind(await render({ crds: { install: false } }), 'CustomResourceDefinition')).toEqual([])
  expect(ofKind(await render(), 'CustomResourceDefinition')).toHaveLength(files.length)
})

test('Artifact Hub is told of each of them, with an example, and of the images', async () => {
  const { annotations, appVersion } = parse(readChart('Chart.yaml'))
  const listed = (name: string) => parse(annotations[`artifacthub.io/${name}`]) as Record<string, string>[]
  const crds = ofKind(await render(), 'CustomResourceDefinition').map(({ metadata, spec }) => {
    const { names, versions } = spec as { names: { kind: string }; versions: { name: string }[] }
    return { kind: names.kind, version: versions.at(-1)?.name, name: metadata.name }
  })
  expect(listed('crds').map(({ kind, version, name }) => ({ kind, version, name }))).toEqual(crds)
  expect(new Set(listed('crdsExamples').map(({ kind }) => kind))).toEqual(
    new Set(crds.map(({ kind }) => kind)),
  )
  const { image, redis } = defaults as {
    image: { repository: string }
    redis: { embedded: { image: { repository: string; tag: string } } }
  }
  const { repository, tag } = redis.embedded.image
  expect(listed('images').map((entry) => entry.image)).toEqual([
    `${image.repository}:${appVersion}`,
    `${repository}:${tag}`,
  ])
})
