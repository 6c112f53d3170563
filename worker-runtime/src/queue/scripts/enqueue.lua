-- Enqueues 1 to 1,000 jobs, all or none. Safe to run twice: a known id is left alone and answers its state.
-- KEYS  the queue
-- ARGV  per job five: id, lane, when ('' at once, '+<ms>' from now, '@<ms>' on the wall clock), '<task> <options>', payload
-- returns  per job 'created' or the state in which the id is known; or an error that names the limit
local set = settings()
if set.layout and set.layout > LAYOUT then return redis.error_reply('NEWLAYOUT ' .. set.layout) end
local jobs = #ARGV / 5
for i = 5, #ARGV, 5 do
  if #ARGV[i] > set.maxPayloadBytes then return redis.error_reply('PAYLOADTOOLARGE ' .. #ARGV[i] .. ' ' .. set.maxPayloadBytes .. ' ' .. ARGV[i - 4]) end
end
local waiting = redis.call('ZCARD', Q .. 'delayed')
for lane in pairs(WEIGHT) do waiting = waiting + redis.call('LLEN', Q .. 'ready:' .. lane) end
waiting = waiting - tonumber(redis.call('HGET', Q .. 'counts', 'tombstones') or 0)
if waiting + jobs > set.maxLength then
  -- Jobs that are there already need no room: a call that is repeated because its answer was lost must not be refused.
  local new = 0
  for i = 1, #ARGV, 5 do new = new + 1 - redis.call('EXISTS', Q .. 'job:' .. ARGV[i]) end
  if new > 0 and waiting + new > set.maxLength then return redis.error_reply('QUEUEFULL ' .. waiting .. ' ' .. set.maxLength) end
end

local now = now_ms()
local was_empty = redis.call('EXISTS', Q .. 'lanes') == 0
local due_before = next_ms(now)
local answers, created, ready = {}, 0, {}
for i = 1, #ARGV, 5 do
  local id, lane, at = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local envelope = '1. ' .. lane .. ' ' .. string.format('%d', now) .. ' ' .. ARGV[i + 3] .. '\n' .. ARGV[i + 4]
  if redis.call('SET', Q .. 'job:' .. id, envelope, 'NX') then
    created = created + 1
    answers[#answers + 1] = 'created'
    local due = at ~= '' and (tonumber(string.sub(at, 2)) + (string.sub(at, 1, 1) == '+' and now or 0)) or now
    if due > now then
      redis.call('ZADD', Q .. 'delayed', due, id)
    else
      ready[lane] = ready[lane] or {}
      table.insert(ready[lane], id)
    end
  else
    answers[#answers + 1] = state_of(id)
  end
end
for lane, ids in pairs(ready) do
  redis.call('RPUSH', Q .. 'ready:' .. lane, unpack(ids))
  open_lane(lane)
end
-- A counter is written even when every id was known: then a WAIT after this call has something to wait for.
redis.call('HINCRBY', Q .. 'counts', 'enqueued', created)
wake(now, set)
local due = next_ms(now)
local earlier = due >= 0 and (due_before < 0 or due < due_before)
-- An idle worker sleeps until the next due time that it knows of; wake one when there is an earlier one.
if earlier and not set.suspended and not set.paused then redis.call('ZADD', Q .. 'wake', 0, 'work') end
if earlier or was_empty and next(ready) then redis.call('PUBLISH', Q .. 'stirred', '') end
return answers
