-- Time, counters and the marker that wakes idle workers.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) -- of the whole call
local now_ms = string.format('%d', now)

-- Lua passes at most 8,000 values to a function, and a list may be longer: for first = 1, #list, SLICE do …
-- slice(list, first). Even, for lists of pairs.
local SLICE = 4000
local function slice(list, first)
  if #list <= SLICE then return unpack(list) end
  return unpack(list, first, math.min(first + SLICE - 1, #list))
end

-- The counters of a queue are written once a call, by its epilogue: `ready` (without tombstones) and `busy`
-- go up and down, the others only grow. A command is given numbers as texts where that costs nothing: Redis
-- prints a number with 17 digits, which takes half as long as the command.
local COUNTS = Q .. 'counts'
local counted = { ready = 0, busy = 0 }
local function count(what, by) counted[what] = (counted[what] or 0) + by end
local function count_of(what) return tonumber(redis.call('HGET', COUNTS, what) or 0) end
-- Flows of which a job has ended in this call are written first (flow.lua).
-- Answers how many are ready and busy then, where that has changed.
local open_flows
local function write_counts()
  if open_flows then flows().close_flows() end
  local ready, busy
  for what, by in pairs(counted) do
    local total = by ~= 0 and redis.call('HINCRBY', COUNTS, what, by == 1 and '1' or by) or nil
    if what == 'ready' then ready = total elseif what == 'busy' then busy = total end
  end
  return ready, busy
end

-- The time until the next delayed job is due, or a key or the queue may go on (limits.lua), in ms; -1 when
-- there is none.
local function next_ms()
  local at = redis.call('ZRANGE', Q .. 'delayed', '0', '0', 'WITHSCORES')[2]
  if set.limits then at = limited().sooner(at) end
  return at and math.max(0, at - now) or -1
end

local is_sooner = false -- a job that came from this script is due before all that was delayed: news (new-job.lua)

-- wake: the epilogue of every verb that changes anything writes what it counted, then the marker. The marker
-- stands when a claim has something to take; idle workers block on it. The one that pops it claims, and the
-- epilogue of that claim puts it back for the next one. It is set for one claim more when there is news: a
-- due time sooner than the one until which idle workers sleep.
local function wake(news, due_in)
  local ready, busy = write_counts()
  local is_open = set.suspended ~= 1 and set.paused ~= 1
  local has_room = is_open and (not set.maxBusy or (busy or count_of('busy')) < set.maxBusy)
  if is_open and (news or is_sooner) or has_room and ((set.limits and limited().runnable(ready) or ready or count_of('ready')) > 0 or (due_in or next_ms()) == 0) then
    redis.call('ZADD', Q .. 'wake', '0', 'work')
  else
    redis.call('DEL', Q .. 'wake')
  end
end

-- The counters enqueued and claimed only grow. Where somebody has seen a higher one (by > 0), this Redis went
-- back to an earlier state: a replica that lagged took over, a restart lost the last writes. The counter goes
-- on from where it was, so that no token is given twice and a lost enqueue is counted once, however many saw
-- it. Answers by how much.
local function vanish(what, by)
  if by <= 0 then return 0 end
  redis.call('HINCRBY', COUNTS, what, by)
  if what == 'enqueued' then
    redis.call('HINCRBY', COUNTS, 'vanished', by)
    redis.call('HSET', COUNTS, 'vanishedAtMs', string.format('%d', now))
  end
  return by
end

-- Compares both with what the caller saw last. Answers them, how many enqueues vanished ever, and in how many ms
-- the next schedule fires where there is one (schedule.lua).
local function witness(enqueued, claimed)
  local counts = redis.call('HMGET', COUNTS, 'enqueued', 'claimed', 'vanished', 'nextScheduleMs')
  for i = 1, 3 do counts[i] = tonumber(counts[i] or 0) end
  local lost = vanish('enqueued', enqueued - counts[1])
  local fires_in = counts[4] and math.max(0, counts[4] - now) or nil
  return { counts[1] + lost, counts[2] + vanish('claimed', claimed - counts[2]), counts[3] + lost, fires_in }
end

-- tick: every worker that renews writes it. When no worker did for two intervals, or the clock went back,
-- then Redis was away or stopped or its clock jumped, and every heartbeat looks old: no worker may be taken
-- for dead until all had the time to renew.
local function tick()
  local last, quiet_until = string.match(redis.call('GET', Q .. 'tick') or '', '^(%d+) (%d+)$')
  quiet_until = tonumber(quiet_until) or 0
  if last and (now - last > 2 * RENEW_MS or now < tonumber(last)) then quiet_until = now + 2 * RENEW_MS end
  if quiet_until > now + 2 * RENEW_MS then quiet_until = now + 2 * RENEW_MS end
  redis.call('SET', Q .. 'tick', string.format('%d %d', now, quiet_until))
  return now < quiet_until
end
