-- The state of the queue goes into its history, for who looks anyway; once in 10 s, whoever comes first. Jobs that
-- have expired end, where no worker is there to end them.
-- KEYS  the queue
-- ARGV  names and numbers in one text
-- returns  1, or 0 where there is one of these 10 s
-- Safe to run twice.
if expire_due(100) then
  wake()
  write_events()
end
if redis.call('HEXISTS', bucket_key(10), '') == 1 then return 0 end
add_to_history({ '', ARGV[1] }, 1)
return 1
