-- Closes a batch: no more jobs come, and it ends with the last one.
-- KEYS  the queue, the home of the batch
-- ARGV  id
-- returns  its state, or unknown; and 1 where nobody was told to forward what is for others
-- Safe to run twice.
local flow, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local before = count_of('ready')
if redis.call('HGET', key, 'batch') == 'open' then
  redis.call('HSET', key, 'batch', 'closed')
  open_flow(flow)
  flow_epilogue(before)
end
return { redis.call('HGET', key, 'state') or 'unknown', is_untold() and 1 or 0 }
