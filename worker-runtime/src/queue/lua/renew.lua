-- A worker says that it lives. One that was taken for dead is told so; it may not come back under this name.
-- KEYS  the queue
-- ARGV  worker, the counters enqueued and claimed as it saw them last, a line for each running attempt that
--       was looked at: token, peak
--       memory in bytes, user and system CPU in ms; - is unknown; 'stopping' from when it was told to stop, else '';
--       what it added up since: tasks and texts in turn (stats.lua)
-- returns  {'dead'} or {'alive', how many jobs it holds, timeout of an attempt in ms, ids to cancel, workers
--       that look dead,
--          those that will before this one renews again: name, ms left,
--          the counters enqueued, claimed, vanished, and ms until the next schedule fires; 1 where the outbox has
--          something to forward}
-- Safe to run twice: cancellations are given again until the job has ended. Only figures would count twice.
local me = ARGV[1]
local quiet = tick()
local until_ms = tonumber(redis.call('ZSCORE', Q .. 'workers', me) or 0)
if until_ms == 0 then return { 'dead' } end
redis.call('ZADD', Q .. 'workers', now + LEASE_MS, me)

-- After the clock went back, a heartbeat from before lies too far ahead to ever run out in time.
for _, ahead in ipairs(redis.call('ZRANGEBYSCORE', Q .. 'workers', now + LEASE_MS + 1, '+inf', 'LIMIT', '0', '100')) do
  redis.call('ZADD', Q .. 'workers', now + LEASE_MS, ahead)
end
drop_buried(redis.call('ZRANGEBYSCORE', Q .. 'buried', '-inf', now - rule('buriedMaxAgeMs'), 'LIMIT', '0', '100'))
seldom().expire_due(100)
if set.limits then limited().tidy_limits(quiet) end
local counts = redis.call('HMGET', COUNTS, 'ready', 'flowsCheckMs')
local ready = tonumber(counts[1]) or 0
if counts[2] and tonumber(counts[2]) <= now then seldom().check_flows() end
if ready < 0 or ready > 0 and redis.call('EXISTS', Q .. 'lanes', Q .. 'blocked') == 0 then count('ready', seldom().ready_in_lanes() - ready) end
if set.tombstones and redis.call('EXISTS', Q .. 'tombstones') == 0 then
  redis.call('HDEL', Q .. 'config', 'tombstones')
  seldom().note_settings()
end
if set.watchedUntilMs and set.watchedUntilMs <= now then
  redis.call('HDEL', Q .. 'config', 'watchedUntilMs')
  seldom().note_settings()
end
wake()
if told then write_events() end
if ARGV[6] then seldom().add_to_history(ARGV, 6) end

local cancelled = {}
for id in string.gmatch(redis.call('HGET', Q .. 'worker:' .. me, 'cancel') or '', '%S+') do
  -- It may have ended, and another job with its id be held by now.
  local is_meant = redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 1
  if is_meant and redis.call('HEXISTS', Q .. 'held:' .. me, id) == 1 then cancelled[#cancelled + 1] = id end
end
redis.call('HSET', Q .. 'worker:' .. me, 'cancel', table.concat(cancelled, ' '), 'used', ARGV[4] or '')
if ARGV[5] == 'stopping' then
  be_idle_no_more(me)
  redis.call('HSET', Q .. 'worker:' .. me, 'stopping', '1')
end
local dead, overdue = {}, {}
local found = redis.call('ZRANGEBYSCORE', Q .. 'workers', '-inf', quiet and 0 or now + RENEW_MS, 'WITHSCORES', 'LIMIT', '0', '10')
for i = 1, #found, 2 do
  local left = found[i + 1] - now
  if left <= 0 then
    dead[#dead + 1] = found[i]
  else
    overdue[#overdue + 1] = found[i]
    overdue[#overdue + 1] = left
  end
end
return { 'alive', redis.call('HLEN', Q .. 'held:' .. me), rule('timeoutMs'), cancelled, dead, overdue, witness(ARGV[2], ARGV[3]), has_outbox() and 1 or 0 }
