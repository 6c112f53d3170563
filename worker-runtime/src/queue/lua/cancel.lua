-- Cancels a job. One that waits ends now: a delayed one is taken out; of a ready one a tombstone stays in its
-- lane. A held one is flagged; its worker is told.
-- KEYS  the queue
-- ARGV  id
-- returns  cancelled, cancelling (it runs; its worker ends it), or the state that cannot be cancelled:
--       unknown, completed, buried...
-- Safe to run twice.
local id = ARGV[1]
local state = state_of(id)
if state == 'held' then
  local worker, entry = holder_of(id)
  remember_held(worker, id, parse_held(entry), 'cancel', 1)
  local waiting = redis.call('HGET', Q .. 'worker:' .. worker, 'cancel') or ''
  if not string.find(' ' .. waiting .. ' ', ' ' .. id .. ' ', 1, true) then
    redis.call('HSET', Q .. 'worker:' .. worker, 'cancel', waiting .. ' ' .. id)
  end
  redis.call('PUBLISH', C .. 'worker:' .. worker, id)
  return 'cancelling'
end
local header = (state == 'ready' or state == 'delayed') and header_of(id)
if not header then return state end
leave_waiting(id, state, header.lane)
local tries = redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes')
cancelled(id, header, { attempt = tonumber(tries[1]) or 0, crashes = tonumber(tries[2]) or 0 })
keep_outcomes()
wake()
write_events()
return 'cancelled'
