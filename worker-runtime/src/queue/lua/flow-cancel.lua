-- Cancels a flow: what waits is skipped, and its jobs that have not ended are cancelled wherever they are.
-- KEYS  the queue, its home
-- ARGV  id
-- returns  its state, or unknown; and 1 where nobody was told to forward what is for others
-- Safe to run twice.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local state, batch = unpack(redis.call('HMGET', key, 'state', 'batch'))
if batch or state ~= 'running' and state ~= 'failing' then return { state or 'unknown', 0 } end
local before = count_of('ready')
redis.call('HSET', key, 'state', 'cancelling')
redis.call('HSETNX', key, 'because', '- cancelled')
local jobs = redis.call('HGETALL', key .. ':jobs')
skip(key, redis.call('HKEYS', key .. ':waits'))
if #jobs == 0 then redis.call('HSET', key, 'running', '0') end -- another program deleted them
for i = 1, #jobs, 2 do
  local queue, run = string.match(jobs[i + 1], '^enqueued (%S+) (%d+)$')
  if queue then send(queue, 'cancel', flow_job_id(flow, jobs[i], run), string.match(Q, '{(.*)}'), '') end
end
end_flow_if_over(flow)
flow_epilogue(before)
return { redis.call('HGET', key, 'state'), is_untold() and 1 or 0 }
