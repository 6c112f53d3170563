-- Deletes buried jobs for good.
-- KEYS  the queue
-- ARGV  1 to 500 ids
-- returns  per id 'deleted', or the state it is in when it is not buried
-- Safe to run twice.
local answers, gone = {}, {}
for n, id in ipairs(ARGV) do
  if redis.call('ZREM', Q .. 'buried', id) == 1 then
    gone[#gone + 1] = id
    answers[n] = 'deleted'
  else
    answers[n] = state_of(id)
  end
end
forget(gone)
return answers
