import { bytesText, durationMs, durationText } from '../../cli/src/units.ts'

test.each([
  ['500ms', 500],
  ['10s', 10_000],
  ['1.5h', 5_400_000],
  ['5m', 300_000],
  ['5min', 300_000],
  ['2d', 172_800_000],
  ['10', undefined],
  ['', undefined],
  ['-5s', undefined],
  ['10 parsecs', undefined],
])('"%s" as a duration is %s ms', (text, ms) => {
  expect(durationMs(text)).toBe(ms)
})

test.each([
  [-5, '0ms'],
  [350, '350ms'],
  [4_200, '4.2s'],
  [57_000, '57s'],
  [720_000, '12m'],
  [10_800_000, '3h'],
  [864_000_000, '10d'],
])('%s ms are shown as %s', (ms, text) => {
  expect(durationText(ms)).toBe(text)
})

test.each([
  [12, '12 B'],
  [1_536, '1.5 KiB'],
  [98_459_648, '93.9 MiB'],
])('%s bytes are shown as %s', (bytes, text) => {
  expect(bytesText(bytes)).toBe(text)
})
