-- Writes what a TaskQueue declares. The first owner of a name keeps it.
-- KEYS  the queue
-- ARGV  owner uid, then field and value pairs; an empty value removes the field
-- returns  'configured' or 'name-taken'
-- Safe to run twice.
local config = Q .. 'config'
local owner = redis.call('HGET', config, 'ownerUid')
if owner and owner ~= ARGV[1] then return 'name-taken' end
redis.call('HSET', config, 'ownerUid', ARGV[1])
local was_suspended = set.suspended
local before = redis.call('HMGET', config, 'queueLimits', 'keyLimits')
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', config, ARGV[i]) else redis.call('HSET', config, ARGV[i], ARGV[i + 1]) end
  set[ARGV[i]] = tonumber(ARGV[i + 1])
end
note_limits()
local after = redis.call('HMGET', config, 'queueLimits', 'keyLimits')
if before[1] ~= after[1] or before[2] ~= after[2] then look_at_parked_anew() end
wake()
if (set.suspended == 1) ~= (was_suspended == 1) then tell(set.suspended == 1 and 'suspended' or 'unsuspended') end
if rule('eventsMaxCount') == 0 then redis.call('UNLINK', Q .. 'events') end
write_events()
return 'configured'
