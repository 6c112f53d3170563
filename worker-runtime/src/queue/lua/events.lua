-- A page of events, oldest first.
-- KEYS  the queue
-- ARGV  the id behind which to begin; '$' for the end, how many at most
-- returns  {id of the oldest entry that is kept, id of the last one that is kept, entries as XRANGE gives them}; '' for no id
-- Reads only.
local key = Q .. 'events'
local first, last = redis.call('XRANGE', key, '-', '+', 'COUNT', '1'), redis.call('XREVRANGE', key, '+', '-', 'COUNT', '1')
local entries = ARGV[1] ~= '$' and redis.call('XRANGE', key, '(' .. ARGV[1], '+', 'COUNT', ARGV[2]) or {}
return { first[1] and first[1][1] or '', last[1] and last[1][1] or '', entries }
