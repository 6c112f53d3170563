-- A client no longer waits for a job: its entry goes. Answers how the job is, for the client to tell.
-- KEYS  the queue
-- ARGV  id, name of the client's channel, or '' where others of this client wait on
-- returns  the outcome of an ended job, else its state
-- Safe to run twice.
local id, name = ARGV[1], ARGV[2]
local names = name ~= '' and redis.call('HGET', Q .. 'waiters', id) or ''
local first, last = string.find(names, ' ' .. name .. ' ', 1, true)
if first then
  redis.pcall('HDEL', Q .. 'waiters', id) -- frees memory first: a full Redis then takes the shorter list
  local others = string.sub(names, 1, first) .. string.sub(names, last + 1)
  if others ~= ' ' then redis.pcall('HSET', Q .. 'waiters', id, others) end
end
local state = state_of(id)
if state == 'completed' or state == 'cancelled' or state == 'expired' then return redis.call('GET', Q .. 'job:' .. id) end
return state
