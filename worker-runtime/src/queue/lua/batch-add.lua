-- Enqueues 1 to 1,000 jobs of an open batch, all or none.
-- KEYS  the queue, the home of the batch
-- ARGV  id of the batch, and per job three: id, head as in an enqueue, payload
-- returns  how many are new; or an error that names the limit, or that the batch is not open
-- Safe to run twice: a known id is left alone and not counted.
local MOST_IN_BATCH = 1000000
local batch, key = ARGV[1], Q .. 'flow:' .. ARGV[1]
local jobs = (#ARGV - 1) / 3
local state, has = unpack(redis.call('HMGET', key, 'batch', 'jobs'))
if state ~= 'open' then return redis.error_reply('BATCHCLOSED ' .. batch) end
-- Jobs that are there already need no room: a call that is repeated because its answer was lost must not be refused.
local function is_room(has, most)
  if has + jobs <= most then return true end
  local new = 0
  for i = 2, #ARGV, 3 do new = new + 1 - redis.call('EXISTS', Q .. 'job:' .. ARGV[i]) end
  return new == 0 or has + new <= most
end
local before = count_of('ready')
local waiting = before + redis.call('ZCARD', Q .. 'delayed')
if not is_room(waiting, set.maxLength) then return redis.error_reply('QUEUEFULL ' .. waiting .. ' ' .. set.maxLength) end
if not is_room(tonumber(has), MOST_IN_BATCH) then return redis.error_reply('BATCHFULL ' .. batch .. ' ' .. has) end
for i = 4, #ARGV, 3 do
  if #ARGV[i] > set.maxPayloadBytes then return redis.error_reply('PAYLOADTOOLARGE ' .. #ARGV[i] .. ' ' .. set.maxPayloadBytes .. ' ' .. ARGV[i - 2]) end
end
local new = 0
for i = 2, #ARGV, 3 do
  if new_job(ARGV[i], ARGV[i + 1], ARGV[i + 2]) then new = new + 1 end
end
redis.call('HINCRBY', key, 'jobs', new)
local open = open_flow(batch)
change(open, 'enqueued', open.enqueued + new)
flow_epilogue(before)
return new
