-- Cancels a job. One that waits ends now: a delayed one is taken out; of a ready one a tombstone stays in its
-- lane. A held one is flagged; its worker is told.
-- KEYS  the queue
-- ARGV  id
-- returns  cancelled, cancelling (it runs; its worker ends it), or the state that cannot be cancelled:
--       unknown, completed, buried...
-- Safe to run twice.
local id = ARGV[1]
local job = { state = state_of(id) }
if job.state == 'held' then job.worker, job.entry = holder_of(id) end
local answer = cancel_job(id, job)
keep_outcomes()
wake()
write_events()
return answer
