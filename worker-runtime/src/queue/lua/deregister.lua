-- A worker that holds nothing leaves.
-- KEYS  the queue
-- ARGV  worker, what it added up since its last renewal: tasks and texts in turn (stats.lua)
-- returns  1 when it is gone, 0 when it still holds jobs (then its heartbeat runs out and others put them
--       back)
-- Safe to run twice; only figures would count twice.
local me = ARGV[1]
if ARGV[2] then add_to_history(ARGV, 2) end
if redis.call('HLEN', Q .. 'held:' .. me) > 0 then return 0 end
be_idle_no_more(me)
redis.call('ZREM', Q .. 'workers', me)
redis.call('DEL', Q .. 'worker:' .. me)
return 1
