-- Figures of the queue by time.
-- KEYS  the queue
-- ARGV  seconds of a bucket, the starts of buckets in ms
-- returns  per bucket its fields and values in turn
-- Reads only.
local buckets = {}
for i = 2, #ARGV do buckets[i - 1] = redis.call('HGETALL', Q .. 'stats:' .. ARGV[1] .. ':' .. ARGV[i]) end
return buckets
