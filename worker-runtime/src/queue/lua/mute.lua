-- A person says that a group of errors is known, or not any more. It is counted as before, and lists leave it out.
-- KEYS  the queue
-- ARGV  group, '1' to mute, '0' to unmute
-- returns  1, or 0 where there is no such group
-- Safe to run twice.
if not redis.call('ZSCORE', Q .. 'errors', ARGV[1]) then return 0 end
if ARGV[2] == '1' then redis.call('HSET', Q .. 'error:' .. ARGV[1], 'muted', '1') else redis.call('HDEL', Q .. 'error:' .. ARGV[1], 'muted') end
return 1
