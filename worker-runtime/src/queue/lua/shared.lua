-- What every verb shares, put in front of each script. KEYS[1] is the prefix of the queue, mh:{<queue>}:, and routes the
-- call to its slot; all other keys are built from it (why a second one is named: scripts.ts). Where a job goes next is decided here and only here.
--
--   ready -> held -> completed          held -> delayed -> ready   (failed or crashed, with tries left)
--            held -> ready (handed back)        held -> buried     (no tries left)
--   ready, delayed, held -> cancelled           buried -> ready    (by hand)
--
-- An id is in exactly one of these. Only the script that takes it out of one puts it into the next.
local Q = KEYS[1]
local C = Q .. DATABASE -- of channels, which know no database: '' is 0, '1:' is 1
local WEIGHT = { urgent = 8, high = 4, normal = 2, low = 1 }
local MAX_HEADER = 400 -- a task name has at most 100 bytes, options at most 100
local KEPT_ATTEMPTS = 5

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Lua passes at most 8,000 values to a function, and a list may be longer: for first = 1, #list, SLICE do … slice(list, first). Even, for
-- lists of pairs.
local SLICE = 4000
local function slice(list, first) return unpack(list, first, math.min(first + SLICE - 1, #list)) end

local function count(what, by)
  if by ~= 0 then redis.call('HINCRBY', Q .. 'counts', what, by) end
end

-- The counters enqueued and claimed only grow. Where somebody has seen a higher one (by > 0), this Redis went back to an earlier state:
-- a replica that lagged took over, a restart lost the last writes. The counter goes on from where it was, so that no token is given
-- twice and a lost enqueue is counted once, however many saw it. Answers by how much.
local function vanish(what, by)
  if by <= 0 then return 0 end
  count(what, by)
  if what == 'enqueued' then
    count('vanished', by)
    redis.call('HSET', Q .. 'counts', 'vanishedAtMs', string.format('%d', now_ms()))
  end
  return by
end

-- What the caller saw last of the two, compared. Answers them, and how many enqueues vanished ever.
local function witness(enqueued, claimed)
  local counts = redis.call('HMGET', Q .. 'counts', 'enqueued', 'claimed', 'vanished')
  for i = 1, 3 do counts[i] = tonumber(counts[i] or 0) end
  local lost = vanish('enqueued', enqueued - counts[1])
  return { counts[1] + lost, counts[2] + vanish('claimed', claimed - counts[2]), counts[3] + lost }
end

-- The TaskQueue's settings, or the defaults where nobody declared one. Numbers, but for suspended and paused: true or nil. Of these
-- fields, or all: what a call does not need it does not ask for. DEFAULTS has the fields that the verb names (scripts.ts).
local function settings(...)
  local fields, defaults = { ... }, DEFAULTS
  if not fields[1] then
    fields = { 'maxAttempts', 'backoffMs', 'maxBackoffMs', 'maxCrashes', 'timeoutMs', 'maxLength', 'maxPayloadBytes',
      'completedMaxAgeMs', 'completedMaxCount', 'buriedMaxAgeMs', 'buriedMaxCount', 'maxBusy', 'suspended', 'paused', 'layout' }
    defaults = { ALL_DEFAULTS }
  end
  local values = redis.call('HMGET', Q .. 'config', unpack(fields))
  local found = {}
  for i = 1, #fields do found[fields[i]] = tonumber(values[i] or defaults[fields[i]]) end
  found.suspended = found.suspended == 1 or nil
  found.paused = found.paused == 1 or nil
  return found
end

-- What a newer Millhand has written may mean something else: answers a refusal, and the verb does nothing.
local function newer_layout(layout)
  if (tonumber(layout) or 0) > LAYOUT then return redis.error_reply('NEWLAYOUT ' .. layout) end
end

-- 1<flag> <lane> <enqueued ms> <task> <options>; flag + means that attempt:<id> exists.
local function header_of(id)
  local line = redis.call('GETRANGE', Q .. 'job:' .. id, 0, MAX_HEADER)
  local flag, lane, enqueued, task, options = string.match(line, '^1(.) (%a+) (%d+) (%S+) (%S+)\n')
  if not flag then return nil end
  return { flag = flag, lane = lane, enqueued = tonumber(enqueued), task = task, options = options }
end

-- The envelope's own policy wins over the queue's: a attempts, b and m back-off, c crashes, t timeout; d is when it is due.
local function policy(options, letter, default)
  return tonumber(string.match(options, '%f[%a]' .. letter .. '(%d+)')) or default
end

local function remember(id, ...)
  redis.call('SETRANGE', Q .. 'job:' .. id, 1, '+')
  redis.call('HSET', Q .. 'attempt:' .. id, ...)
end

local function parse_held(value)
  local first = string.match(value, '^(%d+):1:0$') -- most are
  if first then return { token = first, attempt = 1, crashes = 0, remembered = false } end
  local token, attempt, crashes, flag = string.match(value, '^(%d+):(%d+):(%d+)(.?)$')
  return { token = token, attempt = tonumber(attempt), crashes = tonumber(crashes), remembered = flag == '+' }
end

-- forget: frees all keys of a job.
local function forget(ids)
  local keys = {}
  for _, id in ipairs(ids) do
    keys[#keys + 1] = Q .. 'job:' .. id
    keys[#keys + 1] = Q .. 'attempt:' .. id
  end
  for first = 1, #keys, SLICE do redis.call('UNLINK', slice(keys, first)) end
end

-- Redis over maxmemory refuses a script whose first write may need memory. What must work even then frees something first.
local function even_when_full() redis.call('DEL', Q .. 'nothing') end

-- ending: the outcome overwrites the envelope in place; for its time to live it is the result, and the proof that this id is done.
local function finish(id, outcome, remembered, set)
  redis.call('PUBLISH', C .. 'done:' .. id, outcome)
  if set.completedMaxAgeMs == 0 or set.completedMaxCount == 0 then return forget({ id }) end
  set.age_text = set.age_text or string.format('%d', set.completedMaxAgeMs)
  redis.call('SET', Q .. 'job:' .. id, outcome, 'PX', set.age_text)
  if remembered then redis.call('PEXPIRE', Q .. 'attempt:' .. id, set.completedMaxAgeMs) end
  return id
end

-- Keeps the list of what ended as short as the settings say; an outcome that leaves it is gone.
local function keep_ended(ids, set)
  local length = 0
  for first = 1, #ids, SLICE do length = redis.call('LPUSH', Q .. 'completed', slice(ids, first)) end
  if length <= set.completedMaxCount then return end
  local over = redis.call('RPOP', Q .. 'completed', math.min(length - set.completedMaxCount, 1000 + #ids))
  local gone = {}
  -- An id may be in use again: its first outcome ran out of time, and it was enqueued a second time. Only what has ended has a
  -- time to live.
  for _, id in ipairs(over) do
    if redis.call('PTTL', Q .. 'job:' .. id) >= 0 then gone[#gone + 1] = id end
  end
  forget(gone)
end

-- =<c completed, x cancelled> <ended ms> <attempts>[+<crashes>] <ms since it was enqueued> <task> <facts>, a newline, the result.
-- Numbers are hexadecimal and nothing is said twice: up to 44 bytes Redis keeps a value in one piece with its object.
local function outcome_of(letter, attempt, crashes, enqueued, now, rest)
  local tries = crashes > 0 and string.format('%x+%x', attempt, crashes) or string.format('%x', attempt)
  return string.format('=%s %x %s %x %s', letter, now, tries, math.max(0, now - enqueued), rest)
end

local function end_as_cancelled(id, header, attempt, crashes, now, set)
  local outcome = outcome_of('x', attempt, crashes, header.enqueued, now, header.task .. '\nnull')
  count('cancelled', 1)
  if finish(id, outcome, true, set) then keep_ended({ id }, set) end
end

local function bury(id, now, set)
  redis.call('ZADD', Q .. 'buried', now, id)
  redis.call('PUBLISH', C .. 'done:' .. id, '')
  count('buried', 1)
  local excess = redis.call('ZCARD', Q .. 'buried') - set.buriedMaxCount
  if excess > 0 then
    local oldest = redis.call('ZRANGE', Q .. 'buried', 0, math.min(excess, 100) - 1)
    for first = 1, #oldest, SLICE do redis.call('ZREM', Q .. 'buried', slice(oldest, first)) end
    forget(oldest)
  end
end

-- A lane that gets work again starts level with the lowest one: it has no credit from the time when it was empty. Of lanes that
-- are level the more urgent one comes first.
local function open_lane(lane)
  local lowest = redis.call('ZRANGE', Q .. 'lanes', 0, 0, 'WITHSCORES')
  local level = lowest[1] and lowest[2] - 0.001 / WEIGHT[lowest[1]] or 0
  redis.call('ZADD', Q .. 'lanes', 'NX', level + 0.001 / WEIGHT[lane], lane)
end

local function put_ready(id, lane, side)
  redis.call(side, Q .. 'ready:' .. lane, id)
  open_lane(lane)
end

-- tombstones: taking a cancelled id out of the middle of its lane is O(n), so its entry stays there until a claim meets it. Its envelope
-- is gone by then, or for the time of its retention an outcome. The flag in config says that there may be any.
local function leave_tombstone(id, lane)
  redis.call('HSET', Q .. 'tombstones', id, lane)
  redis.call('HSET', Q .. 'config', 'tombstones', 1)
end

-- How many. A release that gave them no key of their own has only a counter.
local function tombstones()
  return redis.call('HLEN', Q .. 'tombstones') + (tonumber(redis.call('HGET', Q .. 'counts', 'tombstones') or 0) or 0)
end

-- Since when a ready job is ready: since it was enqueued or due, or what was noted since.
local function ready_since(id, header)
  local noted = header.flag == '+' and redis.call('HGET', Q .. 'attempt:' .. id, 'readyAtMs')
  return tonumber(noted) or policy(header.options, 'd', header.enqueued)
end

-- Full jitter: anything from nothing to the doubled base (aws.amazon.com/builders-library, timeouts and back-off).
local function backoff_ms(nth, options, set)
  local base = policy(options, 'b', set.backoffMs)
  local most = policy(options, 'm', set.maxBackoffMs)
  return math.floor(math.random() * math.min(most, base * 2 ^ math.min(nth - 1, 40)))
end

-- An attempt ended without success (crashed = false), or its worker died: 'counted', or 'uncounted' where somebody else ended that.
-- record is JSON for the people who look at it later. A first crash comes back at once: mostly it was not the job's fault. Answers
-- what became of the job.
local function try_again(id, held, record, crashed, terminal, now, set)
  local header = header_of(id)
  if not header then return 'unknown' end
  local crashes = held.crashes + (crashed == 'counted' and 1 or 0)
  local attempts = held.attempt - (crashed and 1 or 0)
  remember(id, 'attempts', attempts, 'crashes', crashes)
  local nth = redis.call('HINCRBY', Q .. 'attempt:' .. id, 'tries', 1)
  redis.call('HSET', Q .. 'attempt:' .. id, '#' .. nth, record)
  redis.call('HDEL', Q .. 'attempt:' .. id, 'progress', '#' .. (nth - KEPT_ATTEMPTS))
  if redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 1 then
    end_as_cancelled(id, header, held.attempt, crashes, now, set)
    return 'cancelled'
  end
  if crashed == 'uncounted' then
    redis.call('HSET', Q .. 'attempt:' .. id, 'readyAtMs', now)
    put_ready(id, header.lane, 'LPUSH')
    return 'ready'
  end
  local exhausted = crashed and crashes >= policy(header.options, 'c', set.maxCrashes)
    or not crashed and attempts >= policy(header.options, 'a', set.maxAttempts)
  if terminal or exhausted then
    bury(id, now, set)
    return 'buried'
  end
  local wait = crashed and (crashes > 1 and backoff_ms(crashes - 1, header.options, set) or 0)
    or backoff_ms(attempts, header.options, set)
  redis.call('HSET', Q .. 'attempt:' .. id, 'readyAtMs', now + wait)
  if wait > 0 then redis.call('ZADD', Q .. 'delayed', now + wait, id) else put_ready(id, header.lane, 'LPUSH') end
  count('retried', 1)
  return 'delayed'
end

local function hand_back(id, held, now, set)
  local header = header_of(id)
  if not header then return 'unknown' end
  if held.remembered and redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 1 then
    end_as_cancelled(id, header, held.attempt, held.crashes, now, set)
    return 'cancelled'
  end
  remember(id, 'readyAtMs', now)
  put_ready(id, header.lane, 'LPUSH')
  return 'ready'
end

-- Which worker holds the id, and its entry. O(workers): for people's questions, never on the path of a job.
local function holder_of(id)
  for _, worker in ipairs(redis.call('ZRANGE', Q .. 'workers', 0, -1)) do
    local value = redis.call('HGET', Q .. 'held:' .. worker, id)
    if value then return worker, value end
  end
end

local function state_of(id)
  local start = redis.call('GETRANGE', Q .. 'job:' .. id, 0, 20)
  if start == '' then return 'unknown' end
  local ended = string.match(start, '^=(%a)')
  if ended then return ended == 'c' and 'completed' or 'cancelled' end
  if redis.call('ZSCORE', Q .. 'delayed', id) then return 'delayed' end
  if redis.call('ZSCORE', Q .. 'buried', id) then return 'buried' end
  return holder_of(id) and 'held' or 'ready'
end

-- When the next delayed job is due, in ms from now; -1 when there is none.
local function next_ms(now)
  local first = redis.call('ZRANGE', Q .. 'delayed', 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, first[2] - now) or -1
end

-- wake: the epilogue of every verb that changes anything. The marker stands exactly when there is work that may be claimed.
-- Idle workers block on it; whoever pops it calls claim, and the claim's own epilogue puts it back for the next one.
-- has_work: true where the caller knows it.
local function wake(now, set, has_work)
  local open = not set.suspended and not set.paused
    and (not set.maxBusy or tonumber(redis.call('HGET', Q .. 'counts', 'busy') or 0) < set.maxBusy)
  if open and (has_work or redis.call('EXISTS', Q .. 'lanes') == 1 or next_ms(now) == 0) then
    redis.call('ZADD', Q .. 'wake', 0, 'work')
  else
    redis.call('DEL', Q .. 'wake')
  end
end

-- Everybody who renews writes the tick. When nobody did for two intervals, or the clock went back, then Redis was away or stopped
-- or its clock jumped, and every heartbeat looks old: nobody may be taken for dead until all had the time to renew.
local function tick(now)
  local last, quiet_until = string.match(redis.call('GET', Q .. 'tick') or '', '^(%d+) (%d+)$')
  quiet_until = tonumber(quiet_until) or 0
  if last and (now - last > 2 * RENEW_MS or now < tonumber(last)) then quiet_until = now + 2 * RENEW_MS end
  if quiet_until > now + 2 * RENEW_MS then quiet_until = now + 2 * RENEW_MS end
  redis.call('SET', Q .. 'tick', string.format('%d %d', now, quiet_until))
  return now < quiet_until
end
