-- The record of a bulk action: makes it, lets one driver at a time go on with it, ends it.
-- KEYS  the queue
-- ARGV  what, id; then by what:
--       create: name and value pairs of the record
--       take: name of the driver
--       abort: nothing
-- returns  create: 1; take, abort: the record as name and value pairs, nothing where it is not known, 'busy'
--          where another driver has it
-- Safe to run twice: a record that is there is left alone; a driver that has it gets it again.
local MOST_RECORDS, DRIVEN_MS = 1000, 10000
local what, id, driver = ARGV[1], ARGV[2], ARGV[3]
local key = Q .. 'action:' .. id

if what == 'create' then
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'createdMs', now, 'state', 'running', unpack(ARGV, 3))
    redis.call('ZADD', Q .. 'actions', now, id)
    local excess = redis.call('ZCARD', Q .. 'actions') - MOST_RECORDS
    for _, oldest in ipairs(excess > 0 and redis.call('ZRANGE', Q .. 'actions', '0', excess - 1) or {}) do
      redis.call('ZREM', Q .. 'actions', oldest)
      redis.call('DEL', Q .. 'action:' .. oldest)
    end
  end
  return 1
end

local state, other, until_ms = unpack(redis.call('HMGET', key, 'state', 'driver', 'driverUntilMs'))
if what == 'take' and state == 'running' then
  if other and other ~= driver and tonumber(until_ms) > now then return 'busy' end
  redis.call('HSET', key, 'driver', driver, 'driverUntilMs', now + DRIVEN_MS)
elseif what == 'abort' and state == 'running' then
  redis.call('HSET', key, 'state', 'aborted', 'endedMs', now)
  redis.call('HDEL', key, 'driver', 'driverUntilMs', 'ids')
end
return redis.call('HGETALL', key)
