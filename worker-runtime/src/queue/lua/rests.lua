-- The rests of keys and of the queue that tasks asked for (rest.lua), the longest first.
-- KEYS  the queue
-- ARGV  how many at most
-- returns  how many there are; then in turn a key, or '*' for the queue, and until when it rests, ms
-- Reads only.
local rests, from = Q .. 'rests', string.format('(%d', now)
local answer = { redis.call('ZCOUNT', rests, from, 'inf') }
for _, each in ipairs(redis.call('ZREVRANGEBYSCORE', rests, 'inf', from, 'WITHSCORES', 'LIMIT', '0', ARGV[1])) do answer[#answer + 1] = each end
return answer
