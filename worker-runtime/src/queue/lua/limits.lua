-- Limits of a key, and the rate of the whole queue, which has the name '*'. The flag `limits` in config says
-- that there are any: without it nothing of this is asked.
--
-- A key that may start no job now is parked: `parked` has it with the time of its next token, or with +inf
-- while one of its jobs has to end first. Its lanes are in `blocked` until then, with their virtual times, and
-- their jobs count as blocked. All priorities of a key share its limits.
--
--   lanes ── no room: park ──> blocked ── a job of the key ends, or the time has come: unpark ──> lanes

-- The limits of a key: those that it was given by a person, else those of the TaskQueue. b busy, l length,
-- w what happens at the limit, r p u the rate (rate.lua).
-- Asked for once a call.
local limits_known, declared, are_given = {}, {}, nil
local function limits_of(key)
  if limits_known[key] then return limits_known[key] end
  local whose = key == '*' and 'queueLimits' or 'keyLimits'
  declared[whose] = declared[whose] or redis.call('HGET', Q .. 'config', whose) or ''
  if are_given == nil then are_given = redis.call('EXISTS', Q .. 'limits') == 1 end
  local given = are_given and redis.call('HGET', Q .. 'limits', key) or ''
  local limit = {}
  for name, value in string.gmatch(declared[whose] .. ' ' .. given, '(%a)=(%d+)') do limit[name] = tonumber(value) end
  limits_known[key] = limit
  return limit
end

-- How many more jobs may start now (none while the key rests, rest.lua); where none may, the time from which one may, or nil while a job has to
-- end first; and when its bucket is full. The busy jobs of the whole queue are limited in config (maxBusy).
local function room_of(key)
  local rests_until = tonumber(redis.call('ZSCORE', Q .. 'rests', key) or 0)
  if rests_until > now then return 0, rests_until end
  local limit, room = limits_of(key), math.huge
  if limit.b and key ~= '*' then room = limit.b - redis.call('ZCARD', Q .. 'busy:' .. key) end
  if room <= 0 or not has_rate(limit) then return room, nil end
  local tokens, next_at, full_at = tokens_of(limit, redis.call('ZSCORE', Q .. 'rates', key))
  return math.min(room, tokens), next_at, full_at
end

local function lanes_of(key)
  local names = {}
  for priority in pairs(WEIGHT) do names[#names + 1] = priority .. '/' .. key end
  return names
end

-- The ready jobs of a lane of a key.
local function waiting_in(lane)
  return redis.call('LLEN', Q .. 'ready:' .. lane) - (set.tombstones and redis.call('HGET', Q .. 'tombstonesIn', lane) or 0)
end

local function waiting_of(key)
  local waiting = 0
  for _, lane in ipairs(lanes_of(key)) do waiting = waiting + waiting_in(lane) end
  return waiting
end

-- Takes the lanes of a key out of `lanes` or `blocked`. Answers their virtual times by name.
local function take_out(key, from)
  local names, found = lanes_of(key), {}
  local times = redis.call('ZMSCORE', from, unpack(names))
  for i = 1, #names do found[names[i]] = times[i] or nil end
  for name in pairs(found) do redis.call('ZREM', from, name) end
  return found
end

-- How many jobs of a key may start in this call, once that is known: held jobs leave before, and `started`
-- takes off those that come.
local room_left = {}

local function park(key, until_ms)
  redis.call('ZADD', Q .. 'parked', until_ms and string.format('%d', until_ms) or '+inf', key)
  for lane, at in pairs(take_out(key, Q .. 'lanes')) do
    redis.call('ZADD', Q .. 'blocked', moved and moved[lane] or at, lane)
    if moved then moved[lane] = nil end
    count('blocked', waiting_in(lane))
  end
end

local function unpark(key)
  redis.call('ZREM', Q .. 'parked', key)
  for lane, at in pairs(take_out(key, Q .. 'blocked')) do
    count('blocked', -waiting_in(lane))
    open_lane(lane, tonumber(at))
  end
end

local function unpark_due(most)
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', Q .. 'parked', '-inf', now, 'LIMIT', '0', most)) do unpark(key) end
end

-- The earlier of a time and that at which the next key may go on.
local function sooner(at)
  local first = redis.call('ZRANGEBYSCORE', Q .. 'parked', '-inf', '(+inf', 'WITHSCORES', 'LIMIT', '0', '1')[2]
  return first and (not at or tonumber(first) < tonumber(at)) and first or at
end

-- The ready jobs that a claim may take.
local function runnable(ready)
  local parked = redis.call('ZSCORE', Q .. 'parked', '*')
  if parked and tonumber(parked) > now then return 0 end
  return math.max(0, (ready or count_of('ready')) - count_of('blocked'))
end

-- For a claim that may take `share` jobs of a lane, or of the queue: how many it may take at most.
local function room_in(key, share)
  local room, until_ms, full_at = room_left[key], nil, nil
  if not room or room <= 0 then room, until_ms, full_at = room_of(key) end
  room_left[key] = room
  if room <= 0 then park(key, until_ms) end
  -- It may have been noted too far ahead (rate.lua).
  if room <= 0 and full_at then redis.call('ZADD', Q .. 'rates', 'XX', 'LT', string.format('%.3f', full_at), key) end
  return math.max(0, math.min(room, share))
end

-- So many jobs have entered a lane, in which so many are now. Answers whether it is blocked. A key of which
-- jobs wait and may not start is parked already.
local function entered_blocked(lane, jobs, length)
  local key = key_of(lane)
  if not key then return false end
  local is_parked = redis.call('ZSCORE', Q .. 'parked', key)
  if not is_parked and (length > jobs or room_in(key, 1) > 0) then return false end
  local is_new = redis.call('ZADD', Q .. 'blocked', 'NX', '0', lane) == 1
  if is_parked or is_new then count('blocked', jobs) end
  return true
end

-- So many jobs have left a lane, and no claim took them.
local function left_blocked(lane, jobs)
  if redis.call('ZSCORE', Q .. 'blocked', lane) then count('blocked', -jobs) end
end

local function room_in_lane(lane, share)
  local key = key_of(lane)
  return key and room_in(key, share) or share
end

-- Jobs of a key have started. Where others wait and may not, it is parked at once. is_empty: none waits where
-- these came from.
local function started(key, jobs, is_empty)
  local limit = limits_of(key)
  if has_rate(limit) then take_tokens(key, limit, jobs) end
  room_left[key] = room_left[key] - jobs
  if room_left[key] > 0 then return end
  if not is_empty or key ~= '*' and waiting_of(key) > 0 then room_in(key, 1) end
end
local function started_in_lane(lane, jobs, is_empty)
  local key = key_of(lane)
  if key then started(key, jobs, is_empty) end
end

-- Jobs of these keys are held no more.
local function have_ended(keys)
  local parked = #keys > 0 and redis.call('ZMSCORE', Q .. 'parked', unpack(keys)) or {}
  for n, key in ipairs(keys) do
    if parked[n] == 'inf' then unpark(key) end
  end
end

-- Behind every change of a limit: the flag, and the limit of all jobs that run.
local function note_limits()
  limits_known, declared, are_given, room_left = {}, {}, nil, {}
  local config = Q .. 'config'
  local most = string.match(redis.call('HGET', Q .. 'limits', '*') or '', 'b=(%d+)') or redis.call('HGET', config, 'declaredMaxBusy')
  if most then redis.call('HSET', config, 'maxBusy', most) else redis.call('HDEL', config, 'maxBusy') end
  set.maxBusy = tonumber(most)
  local declared = redis.call('HMGET', config, 'queueLimits', 'keyLimits')
  set.limits = (declared[1] or declared[2] or redis.call('EXISTS', Q .. 'limits', Q .. 'rates', Q .. 'rests', Q .. 'parked') > 0) and 1 or nil
  if set.limits then redis.call('HSET', config, 'limits', '1') else redis.call('HDEL', config, 'limits') end
  note_settings()
end

-- Whoever is parked is due now, and a claim looks at it again: 0 times infinity is 0 for Redis.
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
