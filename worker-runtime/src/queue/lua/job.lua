-- All that is known of one job.
-- KEYS  the queue
-- ARGV  id
-- returns  name and value in turn: state, text (envelope or outcome), known (attempt:<id> as field and value
--       pairs), worker that holds it and
--          its entry there, at (ms: when it is due, or was buried); of an unknown one only the state
-- Reads only.
local id = ARGV[1]
local state = state_of(id)
if state == 'unknown' then return { 'state', state } end
local answer = { 'state', state, 'text', redis.call('GET', Q .. 'job:' .. id), 'known', redis.call('HGETALL', Q .. 'attempt:' .. id) }
if state == 'held' then answer[7], answer[9], answer[8], answer[10] = 'worker', 'entry', holder_of(id) end
if state == 'delayed' or state == 'buried' then answer[7], answer[8] = 'at', redis.call('ZSCORE', Q .. state, id) end
return answer
