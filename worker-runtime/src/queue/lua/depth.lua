-- The numbers of a queue, all O(1). What is due counts as ready, whether a claim has put it into its lane or not.
-- KEYS  the queue
-- ARGV  names of counts
-- returns  {ready, due of these, delayed, buried, ms until the next delayed job or -1, for how long the oldest ready job is ready in ms
--           or -1, suspended, paused, most busy or -1, the values of the counts}
-- Reads only.
local MAX_LOOKED_AT = 100
local now, set = now_ms(), settings()
local due = redis.call('ZCOUNT', Q .. 'delayed', '-inf', now)
local first_due = due > 0 and redis.call('ZRANGE', Q .. 'delayed', 0, 0, 'WITHSCORES')[2]
local ready, oldest = due, tonumber(first_due)
for lane in pairs(WEIGHT) do
  ready = ready + redis.call('LLEN', Q .. 'ready:' .. lane)
  -- The first ones may be tombstones.
  for at = 0, MAX_LOOKED_AT - 1 do
    local id = redis.call('LINDEX', Q .. 'ready:' .. lane, at)
    local header = id and header_of(id)
    if header then oldest = math.min(oldest or now, ready_since(id, header)) end
    if header or not id then break end
  end
end
-- As long as a number may be: somebody else may have written something else there.
local counts = redis.call('HMGET', Q .. 'counts', unpack(ARGV))
for i = 1, #ARGV do counts[i] = counts[i] and string.sub(counts[i], 1, 20) end
return { math.max(0, ready - tombstones()), due, redis.call('ZCARD', Q .. 'delayed') - due, redis.call('ZCARD', Q .. 'buried'),
  next_ms(now), oldest and now - oldest or -1, set.suspended and 1 or 0, set.paused and 1 or 0, set.maxBusy or -1,
  counts }
