// Says how many jobs there are. Argument: the Redis URL.
import { Redis } from 'ioredis'
import { produce } from '../node/producing.ts'

const redis = new Redis(process.argv[2] ?? '')
await redis.ping()
const none = () => Promise.reject(new Error('there is no queue'))
await produce({
  add: () => redis.incr('bench:left'),
  addMany: (many) => redis.incrby('bench:left', many.length),
  addDelayed: none,
  roundTrip: none,
})
