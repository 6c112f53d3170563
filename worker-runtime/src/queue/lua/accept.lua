-- Does what the outbox of another queue has for this one, all or nothing.
-- KEYS  the queue
-- ARGV  per entry four: verb, id, head, text
--       enqueue: a job with this id; head as in an enqueue, text its payload
-- returns  1 where the outbox of this queue has something to forward now, else 0
-- Safe to run twice: a known id is left alone.
local does = {
  enqueue = function(...) new_job(...) end,
}
for i = 1, #ARGV, 4 do
  if not does[ARGV[i]] then return redis.error_reply('UNKNOWNENTRY ' .. ARGV[i]) end
end
if set.layout ~= LAYOUT then note_settings() end
local before = count_of('ready')
for i = 1, #ARGV, 4 do does[ARGV[i]](ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
if is_sooner or before == 0 and counted.ready > 0 then redis.call('PUBLISH', C .. 'stirred', '') end
wake(is_sooner)
write_events()
return has_outbox() and 1 or 0
