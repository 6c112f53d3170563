-- Idle workers: one that asked for jobs, got fewer and has slots free stands in `idle`, by their number. An
-- enqueue gives it the job at once: held as after any claim, told in a message. So it is not woken to ask.
-- All other ways to become ready set the marker. The flag in counts says that some worker may be idle.
local MAX_GIVEN_BYTES, MOST_TRIED = 65536, 5

local function be_idle_no_more(worker) redis.call('ZREM', Q .. 'idle', worker) end

-- A worker without a sequence number has lost its registration: its exchanges are refused.
local function take_for_dead(worker)
  redis.call('ZADD', Q .. 'workers', '0', worker)
  redis.call('HDEL', Q .. 'worker:' .. worker, 'seq')
  be_idle_no_more(worker)
end

-- PUBLISH answers how many connections heard it: none, where the worker's process has gone or has lost its
-- connection.
local function given_to(worker, id, envelope, tries)
  if tonumber(redis.call('ZSCORE', Q .. 'workers', worker) or 0) <= now then return false end
  local taken = { id, tries, envelope }
  hold(worker, taken, 0, 1)
  if redis.call('PUBLISH', C .. 'worker:' .. worker, '+' .. id .. ' ' .. taken[2] .. ' ' .. envelope) > 0 then return true end
  leave_held(worker, { id }, tries ~= '1:0' and { [id] = parse_held(taken[2]) } or nil)
  redis.call('HINCRBY', COUNTS, 'claimed', '-1') -- no worker knows of this token
  if tries ~= '1:0' then entered_flagged(id, string.sub(envelope, 2, 2), string.match(envelope, '^[^\n]*')) end
  return false
end

-- The job is new, and it is the first in line: no other one is ready. Workers whose pod drains may be among
-- the idle ones, and a limit may be reached: then the job goes into its lane. Answers the worker
-- that has the job now.
local function give(id, envelope, lane)
  if set.suspended == 1 or set.paused == 1 or set.maxBusy or set.limits then return false end
  local flags = flags_of(string.sub(envelope, 2, 2))
  local tries = flags == 0 and '1:0' or tries_of(1, 0, flags, lane)
  if #envelope > MAX_GIVEN_BYTES or redis.call('EXISTS', Q .. 'draining') == 1 then return false end
  for _ = 1, MOST_TRIED do
    local worker, free = unpack(redis.call('ZRANGE', Q .. 'idle', '-1', '-1', 'WITHSCORES'))
    if not worker then
      redis.call('HDEL', COUNTS, 'idle')
      return false
    end
    local is_given = given_to(worker, id, envelope, tries)
    if is_given and free ~= '1' then redis.call('ZADD', Q .. 'idle', free - 1, worker) else be_idle_no_more(worker) end
    if is_given then
      redis.call('HINCRBY', Q .. 'worker:' .. worker, 'given', '1')
      return worker
    end
  end
  return false
end

local function be_idle_with(worker, free)
  redis.call('ZADD', Q .. 'idle', free, worker)
  redis.call('HSET', COUNTS, 'idle', '1')
end
