-- Somebody watches the events of the queue for a while. Until then also those are written that every job has.
-- KEYS  the queue
-- ARGV  for how many ms
-- returns  the id of the last event: what comes behind it is seen; '' where the queue keeps no events
-- Safe to run twice: the later end counts.
if rule('eventsMaxCount') == 0 then return '' end
local was_watched = is_watched()
if not was_watched or set.watchedUntilMs < now + ARGV[1] then
  redis.call('HSET', Q .. 'config', 'watchedUntilMs', string.format('%d', now + ARGV[1]))
  note_settings()
end
if not was_watched then
  -- Who reads on from an earlier entry learns that there is a gap.
  tell('watched')
  write_events()
end
local last = redis.call('XREVRANGE', Q .. 'events', '+', '-', 'COUNT', '1')[1]
return last and last[1] or '0'
