-- Takes back what an action has deleted, at most 200 jobs a call.
-- KEYS  the queue
-- ARGV  id of the action
-- returns  {how many were put back, how many are left to look at}
-- Safe to run twice: the second call goes on with what is left.
local MOST = 200
local action, restored = Q .. 'action:' .. ARGV[1], 0
local entries = redis.call('LPOP', Q .. 'trashed:' .. ARGV[1], MOST) or {}
for _, entry in ipairs(entries) do
  local id, state, at = string.match(entry, '^(%S+) (%S+) (%S+)$')
  if id and take_from_trash(id, state, at) then restored = restored + 1 end
end
if redis.call('EXISTS', action) == 1 then
  if redis.call('HGET', action, 'state') == 'running' then redis.call('HSET', action, 'endedMs', now) end
  redis.call('HSET', action, 'state', 'undone')
  redis.call('HINCRBY', action, 'restored', restored)
end
wake()
return { restored, redis.call('LLEN', Q .. 'trashed:' .. ARGV[1]) }
