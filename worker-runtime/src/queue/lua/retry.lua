-- Gives buried jobs all their tries again. What is known of their earlier attempts stays.
-- KEYS  the queue
-- ARGV  1 to 500 ids
-- returns  per id 'ready', 'key-taken' (it stays buried: another job has its unique key), or the state it is in when it
--       is not buried
-- Safe to run twice: the second time it is no longer buried.
local answers = {}
for n, id in ipairs(ARGV) do answers[n] = retry_job(id) or state_of(id) end
wake()
write_events()
redis.call('PUBLISH', C .. 'stirred', '')
return answers
