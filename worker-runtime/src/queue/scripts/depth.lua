-- The numbers of a queue, all O(1).
-- KEYS  the queue
-- ARGV  names of counts
-- returns  {ids in lanes, tombstones too, due, delayed, buried, ms until the next delayed job or -1, age of the oldest ready job in ms
--           or -1, suspended, paused, most busy or -1, the values of the counts}
-- Reads only.
local now, set = now_ms(), settings()
local ready, oldest = 0, nil
for lane in pairs(WEIGHT) do
  ready = ready + redis.call('LLEN', Q .. 'ready:' .. lane)
  local first = redis.call('LINDEX', Q .. 'ready:' .. lane, 0)
  local header = first and header_of(first)
  if header then oldest = math.min(oldest or header.enqueued, header.enqueued) end
end
-- As long as a number may be: somebody else may have written something else there.
local counts = redis.call('HMGET', Q .. 'counts', unpack(ARGV))
for i = 1, #ARGV do counts[i] = counts[i] and string.sub(counts[i], 1, 20) end
return { ready, redis.call('ZCOUNT', Q .. 'delayed', '-inf', now), redis.call('ZCARD', Q .. 'delayed'), redis.call('ZCARD', Q .. 'buried'),
  next_ms(now), oldest and now - oldest or -1, set.suspended and 1 or 0, set.paused and 1 or 0, set.maxBusy or -1,
  counts }
