-- Limits of a key, and the rate of the whole queue, which has the name '*'. The flag `limits` in config says
-- that there are any: without it nothing of this is asked.
--
-- The waiting jobs of a key that may not start count as blocked. While one of its jobs has to end first, `full` has
-- the key, with since when, and its lanes keep their turn: most of such jobs end before it. A key that a claim
-- meets before that, or that waits for a time (its next token, the end of a rest), is parked: its lanes are in
-- `blocked` with their virtual times, and `parked` has it with that time, or A_JOB_FIRST and since when. All
-- priorities of a key share its limits.
--
--   has room ── park_full ──> full ── a claim meets it: park_full ──> parked
--   full, parked ── a job of the key ends, or the time has come: unpark ──> has room
--
-- What a call parks or unparks it writes at once, whatever the number of keys.
local A_JOB_FIRST = 1000000000000000

-- The limits of a key: those that it was given by a person, over those of the TaskQueue. b busy, l length,
-- w what happens at the limit, r p u the rate (rate.lua).
local function limits_in(text, others)
  local limit = {}
  for name, value in pairs(others) do limit[name] = value end
  for name, value in string.gmatch(text, '(%a)=(%d+)') do limit[name] = tonumber(value) end
  limit.is_rated = (limit.r or 0) > 0 and (limit.p or 0) > 0
  return limit
end

-- Asked for once a call.
local limits_given, of_queue, of_keys, are_given, are_resting = {}, nil, nil, nil, nil
local function ask_for_limits()
  local is_any = redis.call('EXISTS', Q .. 'limits', Q .. 'rests') > 0
  are_given = is_any and redis.call('EXISTS', Q .. 'limits') == 1
  are_resting = is_any and redis.call('EXISTS', Q .. 'rests') == 1
  local declared = redis.call('HMGET', Q .. 'config', 'queueLimits', 'keyLimits')
  of_queue, of_keys = limits_in(declared[1] or '', {}), limits_in(declared[2] or '', {})
end

local function limits_of(key)
  if are_given == nil then ask_for_limits() end
  local declared = key == '*' and of_queue or of_keys
  if not are_given then return declared end
  if not limits_given[key] then
    local given = redis.call('HGET', Q .. 'limits', key)
    limits_given[key] = given and limits_in(given, declared) or declared
  end
  return limits_given[key]
end

local function rests_until(key)
  if are_given == nil then ask_for_limits() end
  return are_resting and tonumber(redis.call('ZSCORE', Q .. 'rests', key) or 0) or 0
end

-- The held jobs of a key, with those that this call has taken.
local busy_counts = {}
local function busy_of(key)
  busy_counts[key] = busy_counts[key] or redis.call('ZLEXCOUNT', Q .. 'busy', '[' .. key .. ' ', '(' .. key .. '!') -- as range_of
  return busy_counts[key]
end

-- How many more jobs may start now (none while the key rests, rest.lua); where none may, the time from which one
-- may, or nil while a job has to end first; and when its bucket is full. The busy jobs of the whole queue are
-- limited in config (maxBusy).
local function room_of(key)
  local limit, room = limits_of(key), math.huge
  local resting = are_resting and rests_until(key) or 0
  if resting > now then return 0, resting end
  if limit.b and key ~= '*' then room = limit.b - busy_of(key) end
  if room <= 0 or not limit.is_rated then return room, nil end
  local tokens, next_at, full_at = tokens_of(limit, full_noted(key))
  return math.min(room, tokens), next_at, full_at
end

-- Jobs of keys usually have the priority normal. The flag `onlyNormal` says that all of them have.
local function lanes_of(key)
  if set.limits and set.onlyNormal then return { 'normal/' .. key } end
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
  if set.limits and set.onlyNormal then return waiting_in('normal/' .. key) end
  local waiting = 0
  for _, lane in ipairs(lanes_of(key)) do waiting = waiting + waiting_in(lane) end
  return waiting
end

local noted, now_in_ms -- keys that are full from now on, each with the time
local full = {} -- keys to be parked, and the time from which they may start a job; false while one has to end first
local lengths = {} -- of their lanes that this call has met
local is_parked = false -- whether this call has parked any

-- So many jobs of a key wait until one of it ends. park_full is to follow.
local function note_full(key, waiting)
  now_in_ms = now_in_ms or string.format('%d', now)
  noted = noted or {}
  noted[#noted + 1], noted[#noted + 2] = key, now_in_ms
  counted.blocked = (counted.blocked or 0) + waiting
end

-- Writes which keys are full, and parks the others that may start no job, if jobs of them wait; and the queue. Jobs of
-- a key usually have one priority, so whether there are any in lanes that were not met is asked for all keys at once.
-- Answers whether this call has parked any.
local function park_full()
  if noted then
    redis.call('HSET', Q .. 'full', unpack(noted))
    noted = nil
  end
  if next(full) == nil then return is_parked end
  local keys, others, parked, left, blocked = {}, {}, {}, {}, {}
  for key in pairs(full) do
    keys[#keys + 1] = key
    for _, lane in ipairs(lanes_of(key)) do
      if not lengths[lane] then others[#others + 1] = Q .. 'ready:' .. lane end
    end
  end
  local is_any_other = #others > 0 and redis.call('EXISTS', unpack(others)) > 0
  local since = redis.call('HMGET', Q .. 'full', unpack(keys)) -- their jobs count as blocked already
  for n, key in ipairs(keys) do
    local waits = key == '*'
    for _, lane in ipairs(lanes_of(key)) do
      local length = lengths[lane] or is_any_other and redis.call('LLEN', Q .. 'ready:' .. lane) or 0
      local at = length > 0 and (moved and moved[lane] or redis.call('ZSCORE', Q .. 'lanes', lane))
      if at then
        if moved then moved[lane] = nil end
        waits = true
        if not since[n] then count('blocked', waiting_in(lane, length)) end
        left[#left + 1], blocked[#blocked + 1], blocked[#blocked + 2] = lane, at, lane
      end
    end
    if waits then parked[#parked + 1], parked[#parked + 2] = string.format('%d', full[key] or A_JOB_FIRST + (since[n] or now)), key end
    if waits and since[n] then redis.call('HDEL', Q .. 'full', key) end
  end
  if #parked > 0 then redis.call('ZADD', Q .. 'parked', unpack(parked)) end
  if #left > 0 then
    redis.call('ZREM', Q .. 'lanes', unpack(left))
    redis.call('ZADD', Q .. 'blocked', unpack(blocked))
  end
  full, lengths, is_parked = {}, {}, is_parked or #parked > 0
  return is_parked
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

-- The same for keys of which the lanes have kept their turn.
local function not_full(keys)
  for first = 1, #keys, SLICE do redis.call('HDEL', Q .. 'full', slice(keys, first)) end
  local waiting = 0
  for n = 1, #keys do waiting = waiting + (set.onlyNormal and waiting_in('normal/' .. keys[n]) or waiting_of(keys[n])) end
  count('blocked', -waiting)
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
  if room > 0 then return room < share and room or share end
  full[key] = until_ms or false
  -- It may have been noted too far ahead (rate.lua).
  if full_at then redis.call('ZADD', Q .. 'rates', 'XX', 'LT', string.format('%.3f', full_at), key) end
  return 0
end

local function note_priorities(are_normal)
  set.onlyNormal = are_normal and 1 or nil
  if are_normal then redis.call('HSET', Q .. 'config', 'onlyNormal', '1') else redis.call('HDEL', Q .. 'config', 'onlyNormal') end
end

-- Where there are few lanes, whether all those of keys have the priority normal.
local function look_at_priorities()
  for _, where in ipairs({ 'lanes', 'blocked' }) do
    local lanes = redis.call('ZRANGE', Q .. where, '0', '100')
    if #lanes > 100 then return end
    for _, lane in ipairs(lanes) do
      if key_of(lane) and string.sub(lane, 1, 7) ~= 'normal/' then return end
    end
  end
  note_priorities(true)
end

-- So many jobs have entered a lane, in which so many are now. Answers whether the lane is where it belongs. A key
-- of which jobs wait and may not start is full or parked already.
local function entered_blocked(lane, jobs, length)
  local key = key_of(lane)
  if not key then return false end
  if set.onlyNormal and string.sub(lane, 1, 7) ~= 'normal/' then note_priorities(false) end
  local may_be_held_back = redis.call('EXISTS', Q .. 'full', Q .. 'parked') > 0
  if may_be_held_back and redis.call('HEXISTS', Q .. 'full', key) == 1 then
    count('blocked', jobs)
    return false
  end
  if may_be_held_back and redis.call('ZSCORE', Q .. 'parked', key) then
    if length == jobs then -- it was empty, and may have its turn still
      redis.call('ZADD', Q .. 'blocked', 'NX', redis.call('ZSCORE', Q .. 'lanes', lane) or '0', lane)
      redis.call('ZREM', Q .. 'lanes', lane)
    end
    count('blocked', jobs)
    return true
  end
  if length > jobs or room_in(key, 1) > 0 then return false end
  local is_timed = full[key]
  if is_timed then
    open_lane(lane)
    lengths[lane] = length
  else
    full[key] = nil
    note_full(key, waiting_of(key))
  end
  park_full()
  return is_timed
end

-- So many jobs have left a lane, and no claim took them.
local function left_blocked(lane, jobs)
  local key = key_of(lane)
  if key and (redis.call('HEXISTS', Q .. 'full', key) == 1 or redis.call('ZSCORE', Q .. 'blocked', lane)) then count('blocked', -jobs) end
end

-- How many jobs of a lane a claim may take at most, as room_in says, and the key of the lane.
local function room_in_lane(lane, share)
  local key = key_of(lane)
  if not key then return share end
  return room_in(key, share), key
end

-- A claim has met a lane of this key, took so many jobs of it, and so many entries are left there. park_full is to
-- follow. Answers whether the next one may start.
local function served(key, lane, jobs, left)
  if jobs > 0 then
    local limit = limits_of(key)
    local busy = limit.b and busy_counts[key] + jobs
    busy_counts[key] = busy
    if limit.is_rated then take_tokens(key, limit, jobs) end
    if busy and busy >= limit.b then
      if left > 0 or not set.onlyNormal then note_full(key, set.onlyNormal and waiting_in(lane, left) or waiting_of(key)) end
      return false
    end
    if limit.is_rated then room_in(key, 1) end
  end
  if full[key] == nil then return true end
  lengths[lane] = left
  return false
end

-- So many jobs of the queue have started. The same follows.
local function started(jobs)
  local limit = limits_of('*')
  if not limit.is_rated then return end
  take_tokens('*', limit, jobs)
  if count_of('ready') + counted.ready > 0 then room_in('*', 1) end
end

-- Jobs of these keys are held no more.
local function have_ended(keys)
  local with_turn, without, waiting = {}, {}, {}
  for first = 1, #keys, SLICE do
    local since = redis.call('HMGET', Q .. 'full', slice(keys, first))
    for i = 1, #since do
      local key = keys[first + i - 1]
      busy_counts[key] = nil
      if since[i] then with_turn[#with_turn + 1] = key else without[#without + 1] = key end
    end
  end
  for first = 1, #without, SLICE do
    local parked = redis.call('ZMSCORE', Q .. 'parked', slice(without, first))
    for i = 1, #parked do
      if parked[i] and tonumber(parked[i]) >= A_JOB_FIRST then waiting[#waiting + 1] = without[first + i - 1] end
    end
  end
  if #with_turn > 0 then not_full(with_turn) end
  if #waiting > 0 then unpark(waiting) end
end

-- Behind every change of a limit: the flag, and the limit of all jobs that run.
local function note_limits()
  limits_given, are_given = {}, nil
  local config = Q .. 'config'
  local most = string.match(redis.call('HGET', Q .. 'limits', '*') or '', 'b=(%d+)') or redis.call('HGET', config, 'declaredMaxBusy')
  if most then redis.call('HSET', config, 'maxBusy', most) else redis.call('HDEL', config, 'maxBusy') end
  set.maxBusy = tonumber(most)
  local declared = redis.call('HMGET', config, 'queueLimits', 'keyLimits')
  local had_limits = set.limits
  set.limits = (declared[1] or declared[2] or redis.call('EXISTS', Q .. 'limits', Q .. 'rates', Q .. 'rests', Q .. 'parked', Q .. 'full') > 0) and 1 or nil
  if set.limits and not had_limits then look_at_priorities() end
  if set.limits then redis.call('HSET', config, 'limits', '1') else redis.call('HDEL', config, 'limits', 'onlyNormal') end
  note_settings()
end

-- Whoever is parked is due now, and a claim looks at it again, as at those that were full.
local function look_at_parked_anew()
  redis.call('ZUNIONSTORE', Q .. 'parked', '1', Q .. 'parked', 'WEIGHTS', '0')
  not_full(redis.call('HKEYS', Q .. 'full'))
end

-- With each renewal: buckets that are full are forgotten, and the flag where nothing needs it. Where the clock
-- went back, times lie too far ahead.
local function tidy_limits(was_away)
  if was_away then look_at_parked_anew() end
  redis.call('ZREMRANGEBYSCORE', Q .. 'rates', '-inf', now)
  redis.call('ZREMRANGEBYSCORE', Q .. 'rests', '-inf', now)
  local blocked = count_of('blocked') + (counted.blocked or 0)
  if blocked < 0 or blocked > 0 and redis.call('EXISTS', Q .. 'blocked', Q .. 'full') == 0 then count('blocked', -blocked) end
  if set.limits and not set.onlyNormal then look_at_priorities() end
  note_limits()
end
