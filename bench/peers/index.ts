// All peers, in the order of the tables. A new peer is a file in this folder and a line below.
import type { Peer } from '../peer.ts'
import { asynqPeers } from './asynq.ts'
import { bullmqPeers } from './bullmq.ts'
import { celeryPeers } from './celery.ts'
import { childProcessForkPeers } from './child-process-fork.ts'
import { dramatiqPeers } from './dramatiq.ts'
import { gearmanPeers } from './gearman.ts'
import { hueyPeers } from './huey.ts'
import { millhandPeers } from './millhand.ts'
import { rqPeers } from './rq.ts'
import { sidekiqPeers } from './sidekiq.ts'

export const peers: Peer[] = [
  ...millhandPeers,
  ...bullmqPeers,
  ...asynqPeers,
  ...sidekiqPeers,
  ...gearmanPeers,
  ...celeryPeers,
  ...rqPeers,
  ...hueyPeers,
  ...dramatiqPeers,
  ...childProcessForkPeers,
]
