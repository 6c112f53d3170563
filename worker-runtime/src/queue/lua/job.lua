-- All that is known of one job.
-- KEYS  the queue
-- ARGV  id
-- returns  {state, envelope or outcome, attempt:<id> as field and value pairs, worker that holds it or '', its entry there or '',
--           when it is due or was buried (ms) or ''}; {'unknown'}
-- Reads only.
local id = ARGV[1]
local state = state_of(id)
if state == 'unknown' then return { 'unknown' } end
local worker, entry = '', ''
if state == 'held' then worker, entry = holder_of(id) end
local at = (state == 'delayed' or state == 'buried') and redis.call('ZSCORE', Q .. state, id) or ''
return { state, redis.call('GET', Q .. 'job:' .. id), redis.call('HGETALL', Q .. 'attempt:' .. id), worker, entry, at }
