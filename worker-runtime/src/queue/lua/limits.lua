-- Limits of a key, and the rate of the whole queue, which has the name '*'. The flag `limits` in config says
-- that there are any: without it nothing of this is asked.
--
-- A key of which jobs wait and may not start is parked: `parked` has it with the time of its next token; while
-- one of its jobs has to end first, that is A_JOB_FIRST and since when. Its lanes are in `blocked` until then, with
-- their virtual times, and their jobs count as blocked. All priorities of a key share its limits.
--
--   lanes ── no room: park_full ──> blocked ── a job of the key ends, or the time has come: unpark ──> lanes
--
-- What a call parks or unparks it writes at once, whatever the number of keys.
local A_JOB_FIRST = 1000000000000000

-- The limits of a key: those that it was given by a person, over those of the TaskQueue. b busy, l length,
-- w what happens at the limit, r p u the rate (rate.lua).
local function limits_in(text, others)
  local limit = {}
  for name, value in pairs(others) do limit[name] = value end
  for name, value in string.gmatch(text, '(%a)=(%d+)') do limit[name] = tonumber(value) end
  return limit
end

-- Asked for once a call.
local limits_given, declared, are_given, are_resting = {}, {}, nil, nil
local function limits_of(key)
  if limits_given[key] then return limits_given[key] end
  local whose = key == '*' and 'queueLimits' or 'keyLimits'
  declared[whose] = declared[whose] or limits_in(redis.call('HGET', Q .. 'config', whose) or '', {})
  if are_given == nil then are_given = redis.call('EXISTS', Q .. 'limits') == 1 end
  local given = are_given and redis.call('HGET', Q .. 'limits', key)
  if not given then return declared[whose] end
  limits_given[key] = limits_in(given, declared[whose])
  return limits_given[key]
end

local function rests_until(key)
  if are_resting == nil then are_resting = redis.call('EXISTS', Q .. 'rests') == 1 end
  return are_resting and tonumber(redis.call('ZSCORE', Q .. 'rests', key) or 0) or 0
end

-- The held jobs of a key, with those that this call has taken.
local busy_counts = {}
local function busy_of(key)
  busy_counts[key] = busy_counts[key] or redis.call('ZLEXCOUNT', Q .. 'busy', range_of(key))
  return busy_counts[key]
end

-- How many more jobs may start now (none while the key rests, rest.lua); where none may, the time from which one
-- may, or nil while a job has to end first; and when its bucket is full. The busy jobs of the whole queue are
-- limited in config (maxBusy).
local function room_of(key)
  local resting = rests_until(key)
  if resting > now then return 0, resting end
  local limit, room = limits_of(key), math.huge
  if limit.b and key ~= '*' then room = limit.b - busy_of(key) end
  if room <= 0 or not has_rate(limit) then return room, nil end
  local tokens, next_at, full_at = tokens_of(limit, full_noted(key))
  return math.min(room, tokens), next_at, full_at
end

local function lanes_of(key)
  local names = {}
  for priority in pairs(WEIGHT) do names[#names + 1] = priority .. '/' .. key end
  return names
end

-- The ready jobs of a lane of a key; `length` where the length of its list is known.
local function waiting_in(lane, length)
  length = length or redis.call('LLEN', Q .. 'ready:' .. lane)
  return length - (set.tombstones and redis.call('HGET', Q .. 'tombstonesIn', lane) or 0)
end

local function waiting_of(key)
  local waiting = 0
  for _, lane in ipairs(lanes_of(key)) do waiting = waiting + waiting_in(lane) end
  return waiting
end

local full = {} -- keys that may start no job, and the time from which they may; false while one has to end first
local lengths = {} -- of their lanes that this call has met

-- Parks the keys that are full, if jobs of them wait; and the queue. Jobs of a key usually have one priority, so
-- whether there are any in lanes that were not met is asked for all keys at once.
local function park_full()
  if next(full) == nil then return end
  local met, others, lists, parked, left, blocked, waits = {}, {}, {}, {}, {}, {}, { ['*'] = true }
  for key in pairs(full) do
    for _, lane in ipairs(lanes_of(key)) do
      if lengths[lane] then met[#met + 1] = lane else others[#others + 1], lists[#lists + 1] = lane, Q .. 'ready:' .. lane end
    end
  end
  if #lists > 0 and redis.call('EXISTS', unpack(lists)) > 0 then
    for n, lane in ipairs(others) do met[#met + 1], lengths[lane] = lane, redis.call('LLEN', lists[n]) end
  end
  for _, lane in ipairs(met) do
    local at = lengths[lane] > 0 and (moved and moved[lane] or redis.call('ZSCORE', Q .. 'lanes', lane))
    if at then
      if moved then moved[lane] = nil end
      waits[key_of(lane)] = true
      count('blocked', waiting_in(lane, lengths[lane]))
      left[#left + 1], blocked[#blocked + 1], blocked[#blocked + 2] = lane, at, lane
    end
  end
  for key, until_ms in pairs(full) do
    if waits[key] then parked[#parked + 1], parked[#parked + 2] = string.format('%d', until_ms or A_JOB_FIRST + now), key end
  end
  if #parked > 0 then redis.call('ZADD', Q .. 'parked', unpack(parked)) end
  if #left > 0 then
    redis.call('ZREM', Q .. 'lanes', unpack(left))
    redis.call('ZADD', Q .. 'blocked', unpack(blocked))
  end
  full, lengths = {}, {}
end

local function unpark(keys)
  local names, left, opened = {}, {}, {}
  for _, key in ipairs(keys) do
    for _, lane in ipairs(lanes_of(key)) do names[#names + 1] = lane end
  end
  for first = 1, #names, SLICE do
    local times = redis.call('ZMSCORE', Q .. 'blocked', slice(names, first))
    for i = 1, #times do
      local lane = names[first + i - 1]
      if times[i] then left[#left + 1], opened[lane] = lane, tonumber(times[i]) end
    end
  end
  for first = 1, #keys, SLICE do redis.call('ZREM', Q .. 'parked', slice(keys, first)) end
  for first = 1, #left, SLICE do redis.call('ZREM', Q .. 'blocked', slice(left, first)) end
  for _, lane in ipairs(left) do count('blocked', -waiting_in(lane)) end
  if #left > 0 then open_lanes(opened) end
end

local function unpark_due(most)
  local keys = redis.call('ZRANGEBYSCORE', Q .. 'parked', '-inf', now, 'LIMIT', '0', most)
  if #keys > 0 then unpark(keys) end
end

-- The earlier of a time and that at which the next key may go on.
local function sooner(at)
  local first = redis.call('ZRANGEBYSCORE', Q .. 'parked', '-inf', '(' .. A_JOB_FIRST, 'WITHSCORES', 'LIMIT', '0', '1')[2]
  return first and (not at or tonumber(first) < tonumber(at)) and first or at
end

-- The ready jobs that a claim may take.
local function runnable(ready)
  local parked = redis.call('ZSCORE', Q .. 'parked', '*')
  if parked and tonumber(parked) > now then return 0 end
  return math.max(0, (ready or count_of('ready')) - count_of('blocked'))
end

-- For a claim that may take `share` jobs of a lane, or of the queue: how many it may take at most. Where it is
-- none, park_full is to follow.
local function room_in(key, share)
  local room, until_ms, full_at = room_of(key)
  if room > 0 then return math.min(room, share) end
  full[key] = until_ms or false
  -- It may have been noted too far ahead (rate.lua).
  if full_at then redis.call('ZADD', Q .. 'rates', 'XX', 'LT', string.format('%.3f', full_at), key) end
  return 0
end

-- So many jobs have entered a lane, in which so many are now. Answers whether the lane is where it belongs. A key
-- of which jobs wait and may not start is parked already.
local function entered_blocked(lane, jobs, length)
  local key = key_of(lane)
  if not key then return false end
  if redis.call('ZSCORE', Q .. 'parked', key) then
    if length == jobs then -- it was empty, and may have its turn still
      redis.call('ZADD', Q .. 'blocked', 'NX', redis.call('ZSCORE', Q .. 'lanes', lane) or '0', lane)
      redis.call('ZREM', Q .. 'lanes', lane)
    end
    count('blocked', jobs)
    return true
  end
  if length > jobs or room_in(key, 1) > 0 then return false end
  open_lane(lane)
  lengths[lane] = length
  park_full()
  return true
end

-- So many jobs have left a lane, and no claim took them.
local function left_blocked(lane, jobs)
  if redis.call('ZSCORE', Q .. 'blocked', lane) then count('blocked', -jobs) end
end

-- How many jobs of a lane a claim may take at most, as room_in says, and the key of the lane.
local function room_in_lane(lane, share)
  local key = key_of(lane)
  if key then return room_in(key, share), key end
  return share
end

-- A claim has met a lane of this key, took so many jobs of it, and so many entries are left there. park_full is to
-- follow.
local function served(key, lane, jobs, left)
  local limit = limits_of(key)
  local busy, rated = limit.b and busy_of(key) + jobs, has_rate(limit)
  busy_counts[key] = busy
  if rated and jobs > 0 then take_tokens(key, limit, jobs) end
  if jobs > 0 and not rated and (not busy or busy < limit.b) then return end -- the next one may start
  if room_in(key, 1) == 0 then lengths[lane] = left end
end

-- So many jobs of the queue have started. The same follows.
local function started(jobs)
  local limit = limits_of('*')
  if not has_rate(limit) then return end
  take_tokens('*', limit, jobs)
  if count_of('ready') + counted.ready > 0 then room_in('*', 1) end
end

-- Jobs of these keys are held no more.
local function have_ended(keys)
  local waiting = {}
  for first = 1, #keys, SLICE do
    local parked = redis.call('ZMSCORE', Q .. 'parked', slice(keys, first))
    for i = 1, #parked do
      local key = keys[first + i - 1]
      busy_counts[key] = nil
      if parked[i] and tonumber(parked[i]) >= A_JOB_FIRST then waiting[#waiting + 1] = key end
    end
  end
  if #waiting > 0 then unpark(waiting) end
end

-- Behind every change of a limit: the flag, and the limit of all jobs that run.
local function note_limits()
  limits_given, declared, are_given, are_resting = {}, {}, nil, nil
  local config = Q .. 'config'
  local most = string.match(redis.call('HGET', Q .. 'limits', '*') or '', 'b=(%d+)') or redis.call('HGET', config, 'declaredMaxBusy')
  if most then redis.call('HSET', config, 'maxBusy', most) else redis.call('HDEL', config, 'maxBusy') end
  set.maxBusy = tonumber(most)
  local declared = redis.call('HMGET', config, 'queueLimits', 'keyLimits')
  set.limits = (declared[1] or declared[2] or redis.call('EXISTS', Q .. 'limits', Q .. 'rates', Q .. 'rests', Q .. 'parked') > 0) and 1 or nil
  if set.limits then redis.call('HSET', config, 'limits', '1') else redis.call('HDEL', config, 'limits') end
  note_settings()
end

-- Whoever is parked is due now, and a claim looks at it again.
local function look_at_parked_anew() redis.call('ZUNIONSTORE', Q .. 'parked', '1', Q .. 'parked', 'WEIGHTS', '0') end

-- With each renewal: buckets that are full are forgotten, and the flag where nothing needs it. Where the clock
-- went back, times lie too far ahead.
local function tidy_limits(was_away)
  if was_away then look_at_parked_anew() end
  redis.call('ZREMRANGEBYSCORE', Q .. 'rates', '-inf', now)
  redis.call('ZREMRANGEBYSCORE', Q .. 'rests', '-inf', now)
  local blocked = count_of('blocked')
  if blocked < 0 or blocked > 0 and redis.call('EXISTS', Q .. 'blocked') == 0 then count('blocked', -blocked) end
  note_limits()
end
