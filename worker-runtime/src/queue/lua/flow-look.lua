-- What is known of a flow.
-- KEYS  the queue, its home
-- ARGV  id, and '' or what is asked besides: 'jobs' and where the slice before has ended, 0 for the first; 'result'; 'job'
--       and its name; or 'wait' and the name of a client's channel, which hears of the end
-- returns  the facts as field and value pairs, none for an unknown one; and for 'result' what the flow returns, for 'job'
--       its job:<name>, for 'wait' whether it was noted; for 'jobs' a slice of the fields of the flow, job:<name> and facts
--       among others, and where it ends, 0 at the end
-- Reads only.
local MAX_BYTES = 16777216 -- as the largest payload that a queue may take
local A_SLICE = 1000 -- jobs; Redis does nothing else meanwhile
local flow, key, what = ARGV[1], Q .. 'flow:' .. ARGV[1], ARGV[2]
if what == 'jobs' then
  if ARGV[3] == '0' and redis.call('HLEN', key) <= A_SLICE then return { redis.call('HGETALL', key), '0' } end
  local slice_end, fields = unpack(redis.call('HSCAN', key, ARGV[3], 'COUNT', A_SLICE))
  return { fields, slice_end }
end
local facts = facts_of_flow(key)
if #facts == 0 then return { facts } end
if what == 'job' then return { facts, redis.call('HGET', key, 'job:' .. ARGV[3]) or '' } end
if what == 'result' then
  local result = with_results({ key = key, results = {} }, redis.call('HGET', key, 'returns') or 'null', MAX_BYTES)
  return result and { facts, result } or redis.error_reply('FLOWRESULTTOOLARGE ' .. flow .. ' ' .. MAX_BYTES)
end
if what == 'wait' and redis.call('HEXISTS', key, 'endedMs') == 0 then return { facts, note_waiter('flow/' .. flow, ARGV[3]) and 1 or 0 } end
return { facts }
