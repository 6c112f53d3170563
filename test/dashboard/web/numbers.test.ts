// Numbers as the pages show them.
import { brief, bytes, percent, plural, rate } from '../../../dashboard/web/app/numbers.ts'

test.each<[shown: string, wanted: string]>([
  [brief(9_999), '9,999'],
  [brief(1_300_000), '1.3M'],
  [rate(0), '0'],
  [rate(0.24), '0.2'],
  [rate(3), '3'],
  [rate(12_400), '12.4K'],
  [percent(0, 0), '0 %'],
  [percent(1, 200), '0.5 %'],
  [percent(1, 2), '50 %'],
  [bytes(1_023), '1023 B'],
  [bytes(1_536), '1.5 KiB'],
  [bytes(300 * 1_024 * 1_024), '300 MiB'],
  [plural(1, 'job'), '1 job'],
  [plural(1_204, 'job'), '1,204 jobs'],
])('%s', (shown, wanted) => expect(shown).toBe(wanted))
