-- Schedules: jobs that come by the clock. `schedules` has their names by the time in ms at which each fires next, inf
-- for one that is paused or suspended. schedule:<name> has:
--   spec (JSON), head and input (as in an enqueue), overlap, ownerUid, owner, paused
--   version  another text after each change: whoever has read an older one changes nothing
--   next     the next due time; with its jitter it is the score. '' where there is none
--   lastId lastDue lastFiredMs lastLateMs  of the last job; fired, skipped  how many runs ever
local SCHEDULES = Q .. 'schedules'
-- name → owner uid, of those that have one.
local SCHEDULE_OWNERS = Q .. 'scheduleOwners'

local function schedule_key(name) return Q .. 'schedule:' .. name end

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

-- One run with this due time, `late` ms behind the time at which it should have fired. Answers whether there is a job.
local function run_schedule(name, overlap, due, late)
  local key = schedule_key(name)
  local head, input, last = unpack(redis.call('HMGET', key, 'head', 'input', 'lastId'))
  if overlap ~= 'Allow' and last and is_unfinished(last) then
    if overlap == 'Forbid' then
      redis.call('HINCRBY', key, 'skipped', '1')
      tell('skipped', name .. '@' .. due .. ' ' .. string.match(head, '^%S+ %S+ (%S+)'))
      return false
    end
    cancel_last(last)
  end
  local id = name .. '@' .. due
  new_job(id, head .. ' s=' .. due, input)
  redis.call('HSET', key, 'lastId', id, 'lastDue', due, 'lastFiredMs', string.format('%d', now), 'lastLateMs', string.format('%d', late))
  redis.call('HINCRBY', key, 'fired', '1')
  tell('fired', id .. ' ' .. string.match(head, '^%S+ %S+ (%S+)'))
  return true
end
