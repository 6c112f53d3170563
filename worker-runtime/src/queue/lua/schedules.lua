-- One schedule, or a page of them, next due first.
-- KEYS  the queue
-- ARGV  'one' and its name; or 'page', then the time and the name behind which to begin ('' for the beginning), how many
-- returns  {now in ms, how many schedules there are, for each: name, when it fires, state of its last job, fields (a
--       page has no input)}
-- Reads only.
local NAMED = { 'lastId', 'lastState', 'lastDue', 'lastFiredMs', 'lastLateMs', 'fired', 'skipped', 'spec', 'version', 'next', 'paused', 'ownerUid', 'owner',
  'head', 'input' }
local function page()
  local from = 0
  if ARGV[2] ~= '' then
    -- Behind the last one, where it still is; else at the first with its time.
    local is_there = redis.call('ZSCORE', SCHEDULES, ARGV[3]) == ARGV[2]
    from = is_there and redis.call('ZRANK', SCHEDULES, ARGV[3]) + 1 or redis.call('ZCOUNT', SCHEDULES, '-inf', '(' .. ARGV[2])
  end
  return redis.call('ZRANGE', SCHEDULES, from, from + ARGV[4] - 1, 'WITHSCORES'), #NAMED - 1
end
local function one()
  local at = redis.call('ZSCORE', SCHEDULES, ARGV[2])
  return at and { ARGV[2], at } or {}, #NAMED
end
local found, fields
if ARGV[1] == 'one' then found, fields = one() else found, fields = page() end
local answer, ids = { now, redis.call('ZCARD', SCHEDULES) }, {}
for i = 1, #found, 2 do
  local values, pairs_of = redis.call('HMGET', schedule_key(found[i]), unpack(NAMED, 1, fields)), {}
  for n = 1, fields do
    if values[n] then pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = NAMED[n], values[n] end
  end
  ids[#ids + 1] = values[1] or ''
  answer[#answer + 1] = { found[i], found[i + 1], values[2] or 'unknown', pairs_of }
end
local states = states_of(ids)
for i = 1, #ids do
  local state = states[ids[i]].state
  if state ~= 'unknown' then answer[i + 2][3] = state end
end
return answer
