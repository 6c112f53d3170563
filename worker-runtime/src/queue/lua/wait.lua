-- Asks how a job ended; where it has not, notes that a client waits for its end and hears of it on a channel
-- of its own.
-- KEYS  the queue
-- ARGV  id, name of the client's channel
-- returns  the outcome of an ended job; else buried, unknown, noted, or unnoted where the client must look
--       again by itself: too many wait
--          for this job, or Redis refuses to write (it is full, or this user may only read)
-- Safe to run twice: a client is noted once.
local id, name = ARGV[1], ARGV[2]
local start = redis.call('GETRANGE', Q .. 'job:' .. id, '0', '0')
if start == '=' then return redis.call('GET', Q .. 'job:' .. id) end
if start == '' then
  redis.pcall('HDEL', Q .. 'waiters', id) -- of a job that another program deleted
  return 'unknown'
end
if redis.call('ZSCORE', Q .. 'buried', id) then return 'buried' end
return note_waiter(id, name) and 'noted' or 'unnoted'
