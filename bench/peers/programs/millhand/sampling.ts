// Counts what this process allocates from SIGUSR2 on, by V8's sampling; at the second SIGUSR2 it writes the
// sum by function into BENCH_ALLOCATIONS. For bench/allocations.ts; loaded before anything else.
import { writeFileSync } from 'node:fs'
import { type HeapProfiler, Session } from 'node:inspector'

const session = new Session()
session.connect()
let isCounting = false

process.on('SIGUSR2', () => {
  if (isCounting) session.post('HeapProfiler.stopSampling', (_error, { profile }) => write(profile))
  else
    session.post('HeapProfiler.startSampling', {
      samplingInterval: 4096,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    })
  isCounting = true
})

function write(profile: HeapProfiler.SamplingHeapProfile): void {
  const bytes: Record<string, number> = {}
  const add = ({ callFrame, selfSize, children }: HeapProfiler.SamplingHeapProfileNode) => {
    const where = `${callFrame.functionName || '(anonymous)'} ${callFrame.url.split('/').slice(-2).join('/')}`
    bytes[where] = (bytes[where] ?? 0) + selfSize
    children.forEach(add)
  }
  add(profile.head)
  writeFileSync(process.env.BENCH_ALLOCATIONS ?? '/dev/null', JSON.stringify(bytes))
}
