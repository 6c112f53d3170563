-- Rates by the generic cell rate algorithm (GCRA), in the time of Redis, for a key or for the whole queue
-- ('*'). `rates` has of each the time at which its bucket is full again. Each job that starts takes one token,
-- which takes `interval` to come back; `burst` of them may be there. So in any window at most burst + rate *
-- window jobs start: there is no edge at which two bursts meet. A limit has r jobs in p ms, and a burst of u.

-- The time of one token, how many may be there, and when the bucket is full: no later than if it were empty
-- now. It was noted later where the clock went back, or the rate was lower.
local function bucket_of(limit, noted)
  local interval, burst = limit.p / limit.r, math.max(1, limit.u or 1)
  return interval, burst, math.min(math.max(now, tonumber(noted or 0)), now + burst * interval)
end

-- How many tokens there are, when there is the next one, and when the bucket is full.
local function tokens_of(limit, noted)
  local interval, burst, full_at = bucket_of(limit, noted)
  local tokens = math.floor((now - full_at) / interval + burst + 0.000001)
  return tokens, math.ceil(full_at - (burst - 1) * interval - 0.001), full_at
end

local noted_full = {} -- by key: asked for once a call
local function full_noted(key)
  noted_full[key] = noted_full[key] or redis.call('ZSCORE', Q .. 'rates', key) or 0
  return noted_full[key]
end

local function take_tokens(key, limit, jobs)
  local interval, _, full_at = bucket_of(limit, full_noted(key))
  noted_full[key] = string.format('%.3f', full_at + jobs * interval)
  redis.call('ZADD', Q .. 'rates', noted_full[key], key)
end
