// The bench believes what jobs wrote down and nothing else: a job that is lost, runs twice or was never enqueued must show.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { judgeDelivery, readStarts } from '../../bench/records.ts'

const AT = '1760000000000000'
const line = (n: number) => `${n} ${AT}\n`

function judged(files: string[], count: number): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  for (const [index, text] of files.entries()) writeFileSync(join(folder, `${index}.txt`), text)
  const problems = judgeDelivery(readStarts(folder), count)
  rmSync(folder, { recursive: true })
  return problems
}

test('exactly the enqueued jobs, in any order and from any process, are no problem', () => {
  expect(judged([line(2) + line(0), line(1)], 3)).toEqual([])
})

test.each([
  ['a job that did not run', [line(0) + line(2)], /lost.*1/],
  ['a job that ran twice, in two processes', [line(0) + line(1), line(1) + line(2)], /ran too often.*1/],
  ['a job that nobody enqueued', [line(0) + line(1) + line(2) + line(7)], /never enqueued but run.*7/],
  ['a line that was torn', [`${line(0)}${line(1)}${line(2)}1 17600`], /cannot be read/],
])('%s is one', (_, files, problem) => {
  expect(judged(files, 3).join('; ')).toMatch(problem)
})
