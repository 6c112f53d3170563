// All scenarios, in the order in which they run. The criteria of each are in its file and in ../README.md.
import type { Scenario } from '../scenario.ts'
import { b1 } from './b1-one-by-one.ts'
import { b2 } from './b2-concurrent.ts'
import { b3 } from './b3-bulk.ts'
import { b4 } from './b4-loop.ts'
import { b5 } from './b5-durable.ts'
import { b6 } from './b6-drain.ts'
import { b7 } from './b7-fresh-process.ts'
import { b8 } from './b8-latency.ts'
import { b9 } from './b9-round-trip.ts'
import { b10 } from './b10-far-redis.ts'
import { b11 } from './b11-payloads.ts'
import { b12 } from './b12-delayed.ts'
import { b13 } from './b13-failures.ts'
import { b14 } from './b14-backlog.ts'
import { b15 } from './b15-idle.ts'
import { b17 } from './b17-killed-worker.ts'
import { b19 } from './b19-durability.ts'
import { b20 } from './b20-idle-latency.ts'
import { b21 } from './b21-rate.ts'
import { b22 } from './b22-flows.ts'
import { b23 } from './b23-keys.ts'

export const scenarios: Scenario[] = [
  b1,
  b2,
  b3,
  b4,
  b5,
  b6,
  b7,
  b8,
  b9,
  b10,
  b11,
  b12,
  b13,
  b14,
  b15,
  b17,
  b19,
  b20,
  b21,
  b22,
  b23,
]
