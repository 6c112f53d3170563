-- After a call whose answer was lost: from now on only claims with the new sequence number count, so that one
-- still on its way can take nothing, and no job is given to it until it is idle again; and the worker learns
-- what it really holds.
-- KEYS  the queue
-- ARGV  worker, new sequence number
-- returns  {'dead'} or {'alive', what it holds as id and entry pairs}
-- Safe to run twice.
local me = ARGV[1]
if tonumber(redis.call('ZSCORE', Q .. 'workers', me) or 0) == 0 then return { 'dead' } end
redis.call('HSET', Q .. 'worker:' .. me, 'seq', ARGV[2], 'given', '0')
be_idle_no_more(me)
return { 'alive', redis.call('HGETALL', Q .. 'held:' .. me) }
