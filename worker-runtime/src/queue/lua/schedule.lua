-- Schedules: jobs that come by the clock. `schedules` has their names by the time in ms at which each fires next, inf
-- for one that is paused or suspended. schedule:<name> has:
--   spec (JSON), head and input (as in an enqueue), overlap, ownerUid, owner, paused
--   version  another text after each change
--   next     the next due time; with its jitter it is the score. '' where there is none
--   Whoever has seen another version or due time changes nothing: it was changed, or has fired.
--   lastId lastDue lastFiredMs lastLateMs  of the last job, and lastState once it has ended; fired, skipped  how many runs ever
local SCHEDULES = Q .. 'schedules'
-- name → owner uid, of those that have one.
local SCHEDULE_OWNERS = Q .. 'scheduleOwners'

local function schedule_key(name) return Q .. 'schedule:' .. name end

local function seen_of(name)
  local version, next = unpack(redis.call('HMGET', schedule_key(name), 'version', 'next'))
  return (version or '') .. ' ' .. (next or '')
end

-- Behind every change of `schedules`. Who renews or looks at numbers reads this counter with the others. Answers the
-- ms until the next one fires, or -1.
local function note_next_schedule()
  local first = redis.call('ZRANGE', SCHEDULES, '0', '0', 'WITHSCORES')[2]
  if not first or first == 'inf' then
    redis.call('HDEL', COUNTS, 'nextScheduleMs')
    return -1
  end
  redis.call('HSET', COUNTS, 'nextScheduleMs', first)
  return math.max(0, first - now)
end

-- For the operator, which fires in place of workers: it sleeps until what was due next when it looked.
local function stir_if_next(name)
  if redis.call('ZRANGE', SCHEDULES, '0', '0')[1] == name then redis.call('PUBLISH', C .. 'stirred', '') end
end

-- next: due time or ''; at: when it fires, or +inf.
local function place_schedule(name, next, at)
  redis.call('HSET', schedule_key(name), 'next', next)
  redis.call('ZADD', SCHEDULES, at, name)
end

-- Until it has ended or is buried, its job is the last one.
local function is_unfinished(id)
  return redis.call('GETRANGE', Q .. 'job:' .. id, '0', '0') == '2' and not redis.call('ZSCORE', Q .. 'buried', id)
end

local function cancel_last(id)
  local job = { state = state_of(id) }
  if job.state == 'held' then job.worker, job.entry = holder_of(id) end
  cancel_job(id, job)
end

local function is_full() return count_of('ready') + counted.ready + redis.call('ZCARD', Q .. 'delayed') >= set.maxLength end

-- One run with this due time, `late` ms behind the time at which it should have fired. Answers whether there is a job:
-- one that has not ended (overlap) or has its unique key may be in the way.
local function run_schedule(name, overlap, due, late)
  local key, id = schedule_key(name), name .. '@' .. due
  local head, input, last = unpack(redis.call('HMGET', key, 'head', 'input', 'lastId'))
  local is_left_out = overlap == 'Forbid' and last and is_unfinished(last)
  if overlap == 'Replace' and last and is_unfinished(last) then cancel_last(last) end
  if not is_left_out and not new_job(id, head, input) then is_left_out = redis.call('EXISTS', Q .. 'job:' .. id) == 0 end
  if not is_left_out then
    redis.call('HDEL', key, 'lastState')
    redis.call('HSET', key, 'lastId', id, 'lastDue', due, 'lastFiredMs', string.format('%d', now), 'lastLateMs', string.format('%d', late))
  end
  redis.call('HINCRBY', key, is_left_out and 'skipped' or 'fired', '1')
  tell(is_left_out and 'skipped' or 'fired', id .. ' ' .. string.match(head, '^%S+ %S+ (%S+)'))
  return not is_left_out
end
