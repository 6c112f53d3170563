-- Takes back what an action has deleted, at most 200 jobs a call.
-- KEYS  the queue
-- ARGV  id of the action
-- returns  {how many were put back, how many are left to look at}; of an action that deletes nothing {0, 0}
-- Safe to run twice: the second call goes on with what is left.
local MOST = 200
local action, restored = Q .. 'action:' .. ARGV[1], 0
local verb, state = unpack(redis.call('HMGET', action, 'verb', 'state'))
if verb and verb ~= 'delete' then return { 0, 0 } end
local entries = redis.call('LPOP', Q .. 'trashed:' .. ARGV[1], MOST) or {}
for _, entry in ipairs(entries) do
  local id, was, at = string.match(entry, '^(%S+) (%S+) (%S+)$')
  if id and take_from_trash(ARGV[1], id, was, at) then
    restored = restored + 1
    tell('restored', id)
  end
end
if state then
  if state == 'running' then redis.call('HSET', action, 'endedMs', now) end
  redis.call('HSET', action, 'state', 'undone')
  redis.call('HDEL', action, 'driver', 'driverUntilMs', 'ids')
  redis.call('HINCRBY', action, 'restored', restored)
end
wake()
write_events()
return { restored, redis.call('LLEN', Q .. 'trashed:' .. ARGV[1]) }
