-- Deletes a schedule. Its jobs stay.
-- KEYS  the queue
-- ARGV  name, owner uid ('' for a program)
-- returns  deleted, none, or name-taken (it has another owner)
-- Safe to run twice.
local owner = redis.call('HGET', schedule_key(ARGV[1]), 'ownerUid')
if owner and owner ~= ARGV[2] then return 'name-taken' end
redis.call('UNLINK', schedule_key(ARGV[1]))
redis.call('HDEL', SCHEDULE_OWNERS, ARGV[1])
local was_there = redis.call('ZREM', SCHEDULES, ARGV[1]) == 1
note_next_schedule()
return (was_there or owner) and 'deleted' or 'none'
