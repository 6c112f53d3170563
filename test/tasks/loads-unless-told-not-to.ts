import { existsSync } from 'node:fs'
import { task } from '../../worker-runtime/src/index.ts'

if (existsSync(process.env.BROKEN_FLAG ?? '')) throw new Error('told not to load')
export const loads = task('loads', () => 'loaded')
