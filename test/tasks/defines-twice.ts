import { task } from '../../worker-runtime/src/index.ts'

task('twice', () => 1)
task('twice', () => 2)
