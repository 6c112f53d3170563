-- What a key, or the whole queue ('*'), is held back by.
-- KEYS  the queue
-- ARGV  key
-- returns  name and value in turn: limits and overrides (as text, limits.lua), busy, waiting (ready jobs),
--       isBlocked 1 or 0, sinceMs and untilMs (ms, where they are known), rests 1 where a task asked for that
-- Reads only.
local key, is_whole = ARGV[1], ARGV[1] == '*'
local declared = redis.call('HGET', Q .. 'config', is_whole and 'queueLimits' or 'keyLimits') or ''
local own = redis.call('HGET', Q .. 'limits', key) or ''
if is_whole and set.maxBusy then declared = declared .. ' b=' .. set.maxBusy end
local busy = is_whole and count_of('busy') or busy_of(key)
local waiting = is_whole and math.max(0, count_of('ready')) or waiting_of(key)
local room, until_ms = room_of(key)
if is_whole and set.maxBusy and set.maxBusy <= busy then room, until_ms = 0, nil end
local answer = { 'limits', declared .. ' ' .. own, 'overrides', own, 'busy', busy, 'waiting', math.max(0, waiting), 'isBlocked', room <= 0 and 1 or 0 }
local function add(name, value)
  if value then answer[#answer + 1], answer[#answer + 2] = name, value end
end
if room <= 0 then
  local parked = tonumber(redis.call('ZSCORE', Q .. 'parked', key) or 0)
  add('sinceMs', redis.call('HGET', Q .. 'full', key) or parked >= A_JOB_FIRST and string.format('%d', parked - A_JOB_FIRST))
  add('untilMs', until_ms)
  add('rests', rests_until(key) > now and 1)
end
return answer
