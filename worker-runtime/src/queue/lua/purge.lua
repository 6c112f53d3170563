-- Deletes jobs that wait or are buried, for good, at most 500 a call. Held jobs stay with their workers, and outcomes stay.
-- KEYS  the queue
-- ARGV  the states: ready, delayed, buried
-- returns  how many were deleted, and 1 where there may be more
-- Safe to run twice: the second call deletes what is there then.
local SLICE = 500
even_when_full()
local left, deleted = SLICE, 0

-- A cancelled id that lay in its lane may keep its outcome; whoever waits for one that is deleted is woken to find it gone.
local function purge(ids)
  left = left - #ids
  local gone = {}
  for _, id in ipairs(ids) do
    local was_cancelled = redis.call('HDEL', Q .. 'tombstones', id) == 1
    if not was_cancelled and redis.call('GETRANGE', Q .. 'job:' .. id, 0, 0) == '1' then gone[#gone + 1] = id end
  end
  forget(gone)
  for _, id in ipairs(gone) do redis.call('PUBLISH', Q .. 'done:' .. id, '') end
  deleted = deleted + #gone
end

for _, state in ipairs(ARGV) do
  if state == 'ready' then
    for _, lane in ipairs({ 'low', 'normal', 'high', 'urgent' }) do
      local ids = left > 0 and redis.call('LPOP', Q .. 'ready:' .. lane, left) or {}
      purge(ids)
      if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. 'lanes', lane) end
    end
  elseif left > 0 then
    local ids = redis.call('ZRANGE', Q .. state, 0, left - 1)
    if #ids > 0 then redis.call('ZREM', Q .. state, unpack(ids)) end
    purge(ids)
  end
end
wake(now_ms(), settings())
return { deleted, left == 0 and 1 or 0 }
