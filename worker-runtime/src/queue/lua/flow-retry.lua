-- Runs again what did not complete, or was compensated, in a flow that failed or was cancelled; and jobs that are named, also
-- where they completed, and in a flow that completed.
-- KEYS  the queue, its home
-- ARGV  id, names of jobs
-- returns  'running', or the state in which it is not retried, or unknown; and 1 where nobody was told to forward
--       what is for others
-- Safe to run twice: the second time it runs.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local state, batch, completed, compensated, expires_in = unpack(redis.call('HMGET', key, 'state', 'batch', 'completed', 'compensated', 'expiresInMs'))
local is_over = state == 'failed' or state == 'cancelled' or state == 'completed' and #ARGV > 1
if batch or not is_over then return { state or 'unknown', 0 } end
local before = count_of('ready')
for _, part in ipairs(FLOW_PARTS) do redis.call('PERSIST', key .. part) end
redis.call('ZADD', Q .. 'flows', 'inf', flow)
redis.call('HSET', COUNTS, 'flowsCheckMs', string.format('%d', now + QUIET_MS))
tell_run(flow, 'started')
redis.call('HINCRBY', key, 'run', '1')
redis.call('HDEL', key, 'because', 'endedMs', 'compensated')
redis.call('HSET', key, 'state', 'running', 'completed', (completed or 0) - (compensated or 0), 'failed', '0', 'skipped', '0', 'enqueued', '0')
if expires_in then redis.call('HSET', key, 'expiresMs', string.format('%d', now + expires_in)) end
local to_do = {}
for i = 2, #ARGV do to_do[i - 1] = 'again ' .. ARGV[i] end
to_do[#to_do + 1] = 'reset 0'
leave_to_do(open_flow(flow), to_do)
go_on(flow)
flow_epilogue(before)
return { 'running', is_untold() and 1 or 0 }
