-- Marks pods that shall claim nothing more, for a limited time, so that a dead operator leaves no pod idle
-- for ever.
-- KEYS  the queue
-- ARGV  for how many ms (0 takes the marks off), pod uids
-- returns  1
-- Safe to run twice.
redis.call('ZREMRANGEBYSCORE', Q .. 'draining', '-inf', now)
for i = 2, #ARGV do
  if ARGV[1] == '0' then redis.call('ZREM', Q .. 'draining', ARGV[i]) else redis.call('ZADD', Q .. 'draining', now + ARGV[1], ARGV[i]) end
end
wake()
return 1
