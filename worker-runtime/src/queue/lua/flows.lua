-- A page of the flows that are at home in this queue: those that run, then those that ended last.
-- KEYS  the queue
-- ARGV  how many, behind how many
-- returns  how many there are, then for each two: its id, facts as field and value pairs
-- Reads only.
local most, from = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer = { redis.call('ZCOUNT', Q .. 'flows', now, 'inf') }
for _, flow in ipairs(redis.call('ZREVRANGEBYSCORE', Q .. 'flows', 'inf', now, 'LIMIT', from, most)) do
  answer[#answer + 1], answer[#answer + 2] = flow, redis.call('HGETALL', Q .. 'flow:' .. flow)
end
return answer
