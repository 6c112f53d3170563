-- A person runs a schedule now, besides its plan and whatever its overlap says.
-- KEYS  the queue
-- ARGV  name
-- returns  the id of the job; 'none' where there is no such schedule; or an error that names the limit
-- Safe to run twice: it may run twice then.
local name = ARGV[1]
if redis.call('EXISTS', schedule_key(name)) == 0 then return 'none' end
if is_full() then return redis.error_reply('QUEUEFULL ' .. count_of('ready') + redis.call('ZCARD', Q .. 'delayed') .. ' ' .. set.maxLength) end
local due = string.format('%d', now)
run_schedule(name, 'Allow', due, '0')
wake()
redis.call('PUBLISH', C .. 'stirred', '')
write_events()
return name .. '@' .. due
