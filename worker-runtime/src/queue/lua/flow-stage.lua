-- Puts some jobs of a flow of many jobs into Redis, for a flow-start within the hour; an older stage is forgotten.
-- KEYS  the queue, its home
-- ARGV  id of the flow, the name of the stage, and per job seven (add_to_flow)
-- returns  how many jobs the stage has
-- Safe to run twice.
local HOUR_MS = '3600000'
local stage = Q .. 'flow:' .. ARGV[1] .. ':staged:' .. ARGV[2]
local too_large = too_large_for_flow(ARGV[1], ARGV, 3)
if too_large then return too_large end
local entries = add_to_flow(stage, '1', ARGV, 3)
for i, name in ipairs(entries) do entries[i] = 'start ' .. name end
leave_to_do({ key = stage }, entries)
for _, part in ipairs({ '', ':calls', ':todo' }) do redis.call('PEXPIRE', stage .. part, HOUR_MS) end
return redis.call('HLEN', stage)
