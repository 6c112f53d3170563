-- A person ends a rest that a task asked for (rest.lua): that of a key, of the queue ('*'), or of one job.
-- KEYS  the queue
-- ARGV  'job' or 'key'; the id, the key
-- returns  ended, or none (there is no such rest)
-- Safe to run twice: the second time says none.
local what, name = ARGV[1], ARGV[2]
if what == 'job' then
  local header, due = header_of(name), redis.call('ZSCORE', Q .. 'delayed', name)
  local until_ms = due and redis.call('HGET', Q .. 'attempt:' .. name, 'restsUntilMs')
  if not header or not until_ms or tonumber(until_ms) ~= tonumber(due) then return 'none' end
  leave_waiting(name, 'delayed', header.lane)
  ready_again(name, header)
  tell('rest-ended', name .. ' ' .. header.task)
else
  local until_ms = redis.call('ZSCORE', Q .. 'rests', name)
  redis.call('ZREM', Q .. 'rests', name)
  if not until_ms or tonumber(until_ms) <= now then return 'none' end
  unpark({ name })
  tell('rest-ended')
end
wake()
write_events()
redis.call('PUBLISH', C .. 'stirred', '')
return 'ended'
