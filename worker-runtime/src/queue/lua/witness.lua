-- Compares counters with what somebody saw of them, for those who neither enqueue nor renew.
-- KEYS  the queue
-- ARGV  the counters enqueued and claimed as they were seen
-- returns  {enqueued, claimed, vanished, ms until the next schedule fires}
-- Safe to run twice: after the first time the counters are no lower than what was seen.
return witness(ARGV[1], ARGV[2])
