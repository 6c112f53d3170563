-- A person stops claims, or lets them go on; then a rest that a task asked for (rest.lua) is over too. Jobs that are held run to their end.
-- KEYS  the queue
-- ARGV  '1' to pause, '0' to resume
-- returns  1
-- Safe to run twice.
redis.call('HSET', Q .. 'config', 'paused', ARGV[1])
note_settings()
set.paused = tonumber(ARGV[1])
if ARGV[1] == '0' and redis.call('ZREM', Q .. 'rests', '*') == 1 then unpark({ '*' }) end
wake()
tell(ARGV[1] == '1' and 'paused' or 'resumed')
write_events()
redis.call('PUBLISH', C .. 'stirred', '')
return 1
