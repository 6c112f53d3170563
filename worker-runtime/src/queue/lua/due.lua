-- The schedules that are due, the earliest first.
-- KEYS  the queue
-- ARGV  how many at most
-- returns  {now in ms, ms until the next one fires or -1, for each four: name, version, due time, spec}
-- Safe to run twice: writes nothing but what is known of the next one, and drops names without a schedule.
local found = redis.call('ZRANGEBYSCORE', SCHEDULES, '-inf', now, 'LIMIT', '0', ARGV[1])
local answer = { now, -1 }
for _, name in ipairs(found) do
  local version, next, spec = unpack(redis.call('HMGET', schedule_key(name), 'version', 'next', 'spec'))
  if version and next and spec then
    for _, value in ipairs({ name, version, next, spec }) do answer[#answer + 1] = value end
  else
    redis.call('ZREM', SCHEDULES, name)
  end
end
answer[2] = note_next_schedule()
return answer
