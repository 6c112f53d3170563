-- The numbers of a queue, all O(1).
-- KEYS  the queue
-- returns  {ready, due, delayed, buried, ms until the next delayed job or -1, age of the oldest ready job in ms or -1,
--           suspended, paused, most busy or -1, counts as field and value pairs}
-- Reads only.
local now, set = now_ms(), settings()
local ready, oldest = 0, nil
for lane in pairs(WEIGHT) do
  ready = ready + redis.call('LLEN', Q .. 'ready:' .. lane)
  local first = redis.call('LINDEX', Q .. 'ready:' .. lane, 0)
  local header = first and header_of(first)
  if header then oldest = math.min(oldest or header.enqueued, header.enqueued) end
end
ready = ready - tonumber(redis.call('HGET', Q .. 'counts', 'tombstones') or 0)
return { ready, redis.call('ZCOUNT', Q .. 'delayed', '-inf', now), redis.call('ZCARD', Q .. 'delayed'), redis.call('ZCARD', Q .. 'buried'),
  next_ms(now), oldest and now - oldest or -1, set.suspended and 1 or 0, set.paused and 1 or 0, set.maxBusy or -1,
  redis.call('HGETALL', Q .. 'counts') }
