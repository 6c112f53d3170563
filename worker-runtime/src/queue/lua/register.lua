-- Makes a worker known. An older worker of the same pod is dead for sure: a container has one worker at a
-- time.
-- KEYS  the queue
-- ARGV  worker, pod uid, then field and value pairs for worker:<worker>
-- returns  {timeout of an attempt in ms, names of workers to reap, the counters enqueued, claimed, vanished, and ms until the next schedule fires}
-- Safe to run twice: writes the same entry again.
local me, uid = ARGV[1], ARGV[2]
local dead = {}
for _, other in ipairs(redis.call('ZRANGE', Q .. 'workers', '0', '-1')) do
  if other ~= me and redis.call('HGET', Q .. 'worker:' .. other, 'podUid') == uid then
    take_for_dead(other)
    dead[#dead + 1] = other
  end
end
redis.call('HSET', Q .. 'worker:' .. me, 'podUid', uid, 'seq', '0', 'startedAtMs', now, unpack(ARGV, 3))
redis.call('ZADD', Q .. 'workers', now + LEASE_MS, me)
tick()
return { rule('timeoutMs'), dead, witness(0, 0) }
