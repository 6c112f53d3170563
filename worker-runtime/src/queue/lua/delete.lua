-- Deletes buried and ended jobs for good: their ids are free. In the list of what ended an id may stay;
-- without an outcome it is not shown.
-- KEYS  the queue
-- ARGV  1 to 500 ids
-- returns  per id 'deleted', or the state it is in when it is neither buried nor ended
-- Safe to run twice.
local answers = {}
for n, id in ipairs(ARGV) do
  local state = state_of(id)
  if state == 'buried' then drop_buried({ id }) end
  local has_ended = state == 'completed' or state == 'cancelled' or state == 'expired'
  if has_ended then
    forget(id)
    tell('deleted', id)
  end
  answers[n] = (state == 'buried' or has_ended) and 'deleted' or state
end
wake()
write_events()
return answers
