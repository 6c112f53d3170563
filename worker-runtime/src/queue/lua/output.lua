-- Lines of a running attempt, for those who look at its job now. Nothing is kept.
-- KEYS  the queue
-- ARGV  id, the lines as JSON
-- returns  how many connections heard it
-- Safe to run twice: a line is shown a second time.
return redis.call('PUBLISH', C .. 'output:' .. ARGV[1], ARGV[2])
