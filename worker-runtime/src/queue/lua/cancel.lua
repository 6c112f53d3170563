-- Cancels a job. One that waits ends now: a delayed one is taken out; of a ready one a tombstone stays in its lane. A held one is
-- flagged; its worker is told.
-- KEYS  the queue
-- ARGV  id
-- returns  cancelled, cancelling (it runs; its worker ends it), or the state that cannot be cancelled: unknown, completed, buried...
-- Safe to run twice.
local id = ARGV[1]
even_when_full()
local state = state_of(id)
local now, set = now_ms(), settings()
if state == 'held' then
  local worker, value = holder_of(id)
  remember(id, 'cancel', 1)
  if not parse_held(value).remembered then redis.call('HSET', Q .. 'held:' .. worker, id, value .. '+') end
  local waiting = redis.call('HGET', Q .. 'worker:' .. worker, 'cancel') or ''
  if not string.find(' ' .. waiting .. ' ', ' ' .. id .. ' ', 1, true) then
    redis.call('HSET', Q .. 'worker:' .. worker, 'cancel', waiting .. ' ' .. id)
  end
  redis.call('PUBLISH', C .. 'cancel:' .. worker, id)
  return 'cancelling'
end
local header = (state == 'ready' or state == 'delayed') and header_of(id)
if not header then return state end
local attempts, crashes = unpack(redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes'))
if state == 'delayed' then redis.call('ZREM', Q .. 'delayed', id) else leave_tombstone(id, header.lane) end
end_as_cancelled(id, header, tonumber(attempts) or 0, tonumber(crashes) or 0, now, set)
wake(now, set)
return 'cancelled'
