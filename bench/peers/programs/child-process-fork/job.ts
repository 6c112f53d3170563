// One job: loads the module that it is given, if any, records, and ends.
import { recordNow } from '../node/recording.ts'

const [, , n = '', module = ''] = process.argv
if (module) await import(module)
recordNow(Number(n))
process.exit(0)
