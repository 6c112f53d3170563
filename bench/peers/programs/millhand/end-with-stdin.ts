// Loaded into the real worker before its own code.
import { endWithStdin } from '../node/recording.ts'

endWithStdin()
