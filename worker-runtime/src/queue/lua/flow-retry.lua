-- Runs again what did not complete, or was compensated, in a flow that failed or was cancelled.
-- KEYS  the queue, its home
-- ARGV  id
-- returns  'running', or the state in which it is not retried, or unknown; and 1 where nobody was told to forward
--       what is for others
-- Safe to run twice: the second time it runs.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local state, batch, completed, compensated, expires_in = unpack(redis.call('HMGET', key, 'state', 'batch', 'completed', 'compensated', 'expiresInMs'))
if batch or state ~= 'failed' and state ~= 'cancelled' then return { state or 'unknown', 0 } end
local before = count_of('ready')
for _, part in ipairs(FLOW_PARTS) do redis.call('PERSIST', key .. part) end
redis.call('ZADD', Q .. 'flows', 'inf', flow)
tell_run(flow, 'started')
redis.call('HINCRBY', key, 'run', '1')
redis.call('HDEL', key, 'because', 'endedMs', 'compensated')
redis.call('HSET', key, 'state', 'running', 'completed', (completed or 0) - (compensated or 0), 'failed', '0', 'skipped', '0', 'running', '0')
if expires_in then redis.call('HSET', key, 'expiresMs', string.format('%d', now + expires_in)) end
leave_to_do(open_flow(flow), { 'reset 0' })
go_on(flow)
flow_epilogue(before)
return { 'running', is_untold() and 1 or 0 }
