-- The short way of an enqueue: one job without a flag, for now, into a backlog, that is a queue with the usual settings
-- in which jobs are ready and no worker is idle. It stands before all that enqueue.lua makes for the others, which is a
-- quarter of such a call, and writes what enqueue.lua would. A call that is different it leaves to enqueue.lua before
-- anything is written, with the counters; and of its own calls what is seldom (`begun`, `opened`).
counts = redis.call('HMGET', Q .. 'counts', 'ready', 'idle')
local ready = not counts[2] and #ARGV == 4 and #ARGV[3] <= set.maxPayloadBytes and tonumber(counts[1]) or 0
local lane, call = string.match(ready > 0 and ARGV[2] or '', '^0(%S+) %- (.*)')
if lane and ready + redis.call('ZCARD', Q .. 'delayed') < set.maxLength then
  local time = redis.call('TIME')
  local header = string.format('20 %s %d %s\n', lane, time[1] * 1000 + math.floor(time[2] / 1000), call)
  if redis.call('SETNX', Q .. 'job:' .. ARGV[1], header .. ARGV[3]) == 1 then
    local length = redis.call('RPUSH', Q .. 'ready:' .. lane, ARGV[1])
    redis.call('HINCRBY', Q .. 'counts', 'ready', '1')
    begun = redis.call('HINCRBY', Q .. 'counts', 'enqueued', '1')
    if length > 1 and ARGV[4] - begun < 0 then return -begun end
    opened = length == 1 and lane
  end
end
