// The tasks of this example: each says what it would do.
import { task } from 'millhand'

export const check = task('check', () => ({ isWell: true }))
export const report = task('report', ({ of }: { of: string }) => ({ title: `The report of ${of}` }))
