-- Pauses a schedule, or lets it go on. Its job that waits or runs is left alone.
-- KEYS  the queue
-- ARGV  name, what the caller has seen of it (schedule.lua), the new version, '1' for paused or '', next, at (schedule.lua)
-- returns  placed, changed (read it again), none (there is no such schedule)
-- Safe to run twice: the second time says changed.
local name = ARGV[1]
if redis.call('EXISTS', schedule_key(name)) == 0 then return 'none' end
if seen_of(name) ~= ARGV[2] then return 'changed' end
redis.call('HSET', schedule_key(name), 'version', ARGV[3], 'paused', ARGV[4])
place_schedule(name, ARGV[5], ARGV[6])
note_next_schedule()
stir_if_next(name)
return 'placed'
