-- Tells a worker whose pod has no time left to end now: it hands back itself what it holds, while it lives.
-- To be told after its pod was marked (drain), so that it claims nothing more even where it does not hear
-- this.
-- KEYS  the queue
-- ARGV  worker
-- returns  how many connections heard it (of this node, in a Redis Cluster)
-- Safe to run twice: it only ends. A worker that does not hear it is told again as long as it lives, or its
-- heartbeat runs out.
return redis.call('PUBLISH', C .. 'worker:' .. ARGV[1], '*')
