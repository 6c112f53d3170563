-- The numbers of a queue, none of which depends on how many jobs there are. What is due counts as ready,
-- whether a claim has put it into its lane or not.
-- KEYS  the queue
-- ARGV  names of counts
-- returns  name and value in turn: now (ms), ready, due (of the ready ones), delayed, buried, nextMs (until the next
--       delayed job is due), oldestMs
--          (for how long the oldest job at the head of a lane is ready), oldestBlockedMs (the same of lanes of keys at a limit, of a part of them), suspended, paused, maxBusy where they are set, restsMs
--          (for how long the queue rests, rest.lua), flows (how many run), outbox where it has
--          something to forward, counts (the values)
-- Reads only.
local MAX_LANES, MAX_BLOCKED, MAX_LOOKED_AT = 100, 100, 100
local due = redis.call('ZCOUNT', Q .. 'delayed', '-inf', now)
local next_at = tonumber(redis.call('ZRANGE', Q .. 'delayed', '0', '0', 'WITHSCORES')[2])
local overdue = redis.call('ZCOUNT', Q .. 'expires', '-inf', now) -- they have expired, and nobody has met them
local oldest = due > 0 and next_at
if oldest and overdue > 0 then
  oldest = nil
  local first = redis.call('ZRANGE', Q .. 'delayed', '0', MAX_LOOKED_AT - 1, 'WITHSCORES')
  for i = #first - 1, 1, -2 do
    local header, at = header_of(first[i]), tonumber(first[i + 1])
    if at <= now and header and not is_overdue(header) then oldest = at end
  end
end
-- The earlier of a time and that since which the head of a lane is ready. The first ones may be tombstones.
local function earlier(since, lane)
  for at = 0, MAX_LOOKED_AT - 1 do
    local id = redis.call('LINDEX', Q .. 'ready:' .. lane, at)
    local header = id and header_of(id)
    if not id then break end
    if header and not is_overdue(header) then return math.min(since or now, ready_since(id, header)) end
  end
  return since
end
local oldest_blocked
for _, lane in ipairs(redis.call('ZRANGE', Q .. 'lanes', '0', MAX_LANES - 1)) do
  local key = set.limits and key_of(lane)
  if key and redis.call('HGET', Q .. 'full', key) then oldest_blocked = earlier(oldest_blocked, lane) else oldest = earlier(oldest, lane) end
end
for _, lane in ipairs(set.limits and redis.call('ZRANGE', Q .. 'blocked', '0', MAX_BLOCKED - 1) or {}) do
  oldest_blocked = earlier(oldest_blocked, lane)
end
-- The longest text of a number: another program may have written something else there.
local counts = redis.call('HMGET', COUNTS, unpack(ARGV))
for i = 1, #ARGV do
  counts[i] = counts[i] and string.sub(counts[i], 1, 20)
  -- After a lane was changed by hand it may count below zero, until a worker renews (limits.lua).
  if ARGV[i] == 'blocked' and string.find(counts[i] or '', '^%-%d') then counts[i] = '0' end
end
local answer = { 'now', now, 'counts', counts, 'ready', math.max(0, count_of('ready') + due - overdue), 'due', math.max(0, math.min(due, count_of('ready') + due - overdue)),
  'delayed', redis.call('ZCARD', Q .. 'delayed') - due, 'buried', redis.call('ZCARD', Q .. 'buried') }
local function add(name, value)
  if value then answer[#answer + 1], answer[#answer + 2] = name, value end
end
add('nextMs', next_at and math.max(0, next_at - now))
add('oldestMs', oldest and now - oldest)
add('oldestBlockedMs', oldest_blocked and math.max(0, now - oldest_blocked))
add('suspended', set.suspended)
add('paused', set.paused)
add('maxBusy', set.maxBusy)
add('flows', redis.call('ZCOUNT', Q .. 'flows', 'inf', 'inf'))
add('outbox', has_outbox() and 1 or nil)
local rests_until = tonumber(redis.call('ZSCORE', Q .. 'rests', '*') or 0)
add('restsMs', rests_until > now and rests_until - now)
if set.limits then
  local declared = redis.call('HGET', Q .. 'config', 'queueLimits') or ''
  add('limits', declared .. ' ' .. (redis.call('HGET', Q .. 'limits', '*') or ''))
end
return answer
