-- Writes a schedule.
-- KEYS  the queue
-- ARGV  name, owner uid ('' for a program), '1' to take it over from another owner, what the caller has seen of it
--       (schedule.lua), how many schedules there may be, next, at (schedule.lua), then field and value pairs
-- returns  set, name-taken, changed (somebody changed or fired it meanwhile: read it again), too-many; or an error that
--       names the limit of payloads
-- Safe to run twice: the second time says changed, and a caller that reads it again finds what it wanted.
local name, uid = ARGV[1], ARGV[2]
local key = schedule_key(name)
local owner = redis.call('HGET', key, 'ownerUid')
if owner and owner ~= uid and ARGV[3] ~= '1' then return 'name-taken' end
if seen_of(name) ~= ARGV[4] then return 'changed' end
if not owner and redis.call('ZCARD', SCHEDULES) >= tonumber(ARGV[5]) then return 'too-many' end
for i = 8, #ARGV, 2 do
  if ARGV[i] == 'input' and #ARGV[i + 1] > set.maxPayloadBytes then
    return redis.error_reply('PAYLOADTOOLARGE ' .. #ARGV[i + 1] .. ' ' .. set.maxPayloadBytes .. ' ' .. name)
  end
end
-- A queue that nobody declared has a layout too.
if set.layout ~= LAYOUT then note_settings() end
redis.call('HSET', key, 'ownerUid', uid, unpack(ARGV, 8))
if uid ~= '' then redis.call('HSET', SCHEDULE_OWNERS, name, uid) else redis.call('HDEL', SCHEDULE_OWNERS, name) end
place_schedule(name, ARGV[6], ARGV[7])
note_next_schedule()
stir_if_next(name)
return 'set'
