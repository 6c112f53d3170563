-- Somebody wants to see the output of a job: the worker that holds it sends its lines for a while from now on
-- (worker/live-output.ts).
-- KEYS  the queue
-- ARGV  id
-- returns  the state of the job
-- Safe to run twice: who goes on looking says so every few seconds.
local id = ARGV[1]
local state = state_of(id)
if state == 'held' then
  local worker = holder_of(id)
  redis.call('PUBLISH', C .. 'worker:' .. worker, '~' .. id)
end
return state
