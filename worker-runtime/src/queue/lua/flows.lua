-- A page of the flows that are at home in this queue: those that run, then those that ended last.
-- KEYS  the queue
-- ARGV  how many; of the pages before: how many flows they had, their last one and its score, or 0, '' and ''
-- returns  how many there are, then for each three: its id, its score, facts as field and value pairs
-- Reads only.
local most, from, last, score = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local flows = Q .. 'flows'
-- Flows start and end between two pages: the page begins behind the last one, while that has kept its place.
if redis.call('ZSCORE', flows, last) == score then from = redis.call('ZREVRANK', flows, last) + 1 end
local answer = { redis.call('ZCOUNT', flows, now, 'inf') }
local found = redis.call('ZREVRANGEBYSCORE', flows, 'inf', now, 'WITHSCORES', 'LIMIT', from, most)
for i = 1, #found, 2 do
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = found[i], found[i + 1], facts_of_flow(Q .. 'flow:' .. found[i])
end
return answer
