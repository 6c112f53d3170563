-- Runs again what did not complete, or was compensated, in a flow that failed or was cancelled.
-- KEYS  the queue, its home
-- ARGV  id
-- returns  'running', or the state in which it is not retried, or unknown; and 1 where nobody was told to forward
--       what is for others
-- Safe to run twice: the second time it runs.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local state, batch = unpack(redis.call('HMGET', key, 'state', 'batch'))
if batch or state ~= 'failed' and state ~= 'cancelled' then return { state or 'unknown', 0 } end
local before = count_of('ready')
local run = string.format('%d', redis.call('HINCRBY', key, 'run', '1'))
for _, part in ipairs(FLOW_PARTS) do redis.call('PERSIST', key .. part) end
redis.call('ZADD', Q .. 'flows', 'inf', flow)

local again, completed = {}, 0
local jobs = redis.call('HGETALL', key .. ':jobs')
for i = 1, #jobs, 2 do
  local name, how, queue, its_run = jobs[i], string.match(jobs[i + 1], '^(%S+) (%S+) (%d+)$')
  if string.match(name, '%.undo$') then
    redis.call('HDEL', key .. ':jobs', name)
  elseif how == 'completed' then
    completed = completed + 1
  else
    again[name] = 0
    redis.call('HSET', key .. ':jobs', name, 'waiting ' .. queue .. ' ' .. run)
    if how == 'buried' then send(queue, 'delete', flow_job_id(flow, name, its_run), '', '') end
  end
end
local following = redis.call('HGETALL', key .. ':next')
for i = 1, #following, 2 do
  for name in string.gmatch(again[following[i]] and following[i + 1] or '', '%S+') do
    if again[name] then again[name] = again[name] + 1 end
  end
end
local free = {}
for name, waits in pairs(again) do
  if waits == 0 then free[#free + 1] = name else redis.call('HSET', key .. ':waits', name, waits) end
end
redis.call('HDEL', key, 'because', 'endedMs')
redis.call('HSET', key, 'state', 'running', 'completed', completed, 'failed', '0', 'skipped', '0', 'running', '0')
go_on(flow, free, run)
flow_epilogue(before)
return { 'running', is_untold() and 1 or 0 }
