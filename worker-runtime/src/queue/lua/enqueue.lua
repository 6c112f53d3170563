-- Enqueues 1 to 1,000 jobs, all or none. Safe to run twice: a known id is left alone and answers its state.
-- KEYS  the queue
-- ARGV  per job three: id, '<lane> <when> <task> <options>' or '' for the same as the job before, payload
--       when: '-' at once, '+<ms>' from now, '@<ms>' on the wall clock
--       and last the counter enqueued as the caller saw it last
-- returns  how many were ever enqueued, then per job that was known already two: its place from 0, its state; or an error that names
--          the limit
local set = settings('maxLength', 'maxPayloadBytes', 'maxBusy', 'suspended', 'paused', 'layout', 'tombstones')
local newer = newer_layout(set.layout)
if newer then return newer end
local jobs = (#ARGV - 1) / 3
for i = 3, #ARGV, 3 do
  if #ARGV[i] > set.maxPayloadBytes then return redis.error_reply('PAYLOADTOOLARGE ' .. #ARGV[i] .. ' ' .. set.maxPayloadBytes .. ' ' .. ARGV[i - 2]) end
end
local waiting, is_open = redis.call('ZCARD', Q .. 'delayed'), {}
for _, lane in ipairs(redis.call('ZRANGE', Q .. 'lanes', 0, -1)) do
  is_open[lane] = true
  waiting = waiting + redis.call('LLEN', Q .. 'ready:' .. lane)
end
if waiting + jobs > set.maxLength then
  waiting = waiting - redis.call('HLEN', Q .. 'tombstones')
  -- Jobs that are there already need no room: a call that is repeated because its answer was lost must not be refused.
  local new, is_named = 0, {}
  for i = 1, #ARGV - 1, 3 do
    local id = ARGV[i]
    if not is_named[id] then new = new + 1 - redis.call('EXISTS', Q .. 'job:' .. id) end
    is_named[id] = true
  end
  if new > 0 and waiting + new > set.maxLength then return redis.error_reply('QUEUEFULL ' .. waiting .. ' ' .. set.maxLength) end
end

-- The id of a cancelled job may be used anew before a claim has met its old entry, which would pass for the new one. O(n), but rare.
if set.tombstones then
  for i = 1, #ARGV - 1, 3 do
    local id = ARGV[i]
    local lane = redis.call('HGET', Q .. 'tombstones', id)
    if lane and redis.call('EXISTS', Q .. 'job:' .. id) == 0 then
      redis.call('LREM', Q .. 'ready:' .. lane, 1, id)
      redis.call('HDEL', Q .. 'tombstones', id)
      if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then
        redis.call('ZREM', Q .. 'lanes', lane)
        is_open[lane] = nil
      end
    end
  end
end

-- A queue that nobody declared has a layout too: that of its first job.
if not set.layout then redis.call('HSET', Q .. 'config', 'layout', LAYOUT) end
local now = now_ms()
local job_key, head, due, lane = Q .. 'job:', nil, nil, nil
local known, ready, delayed = {}, {}, {}
for i = 1, #ARGV - 1, 3 do
  local id = ARGV[i]
  if ARGV[i + 1] ~= '' then
    local sign, ms, call
    lane, sign, ms, call = string.match(ARGV[i + 1], '^(%a+) ([-+@])(%S*) (.*)')
    due = sign == '-' and now or ms + (sign == '+' and now or 0)
    if due > now then call = string.gsub(call .. ',', ' %-,$', ' ') .. string.format('d%d', due) end
    head = '1. ' .. lane .. ' ' .. string.format('%d', now) .. ' ' .. call .. '\n'
  end
  if not redis.call('SET', job_key .. id, head .. ARGV[i + 2], 'NX') then
    known[#known + 1] = i
  elseif due > now then
    delayed[#delayed + 1] = due
    delayed[#delayed + 1] = id
  else
    local ids = ready[lane] or {}
    ids[#ids + 1] = id
    ready[lane] = ids
  end
end
for lane, ids in pairs(ready) do
  for first = 1, #ids, SLICE do redis.call('RPUSH', Q .. 'ready:' .. lane, slice(ids, first)) end
  if not is_open[lane] then open_lane(lane) end
end
local is_earlier = false
if #delayed > 0 then
  local before = next_ms(now)
  for first = 1, #delayed, SLICE do redis.call('ZADD', Q .. 'delayed', slice(delayed, first)) end
  is_earlier = before < 0 or next_ms(now) < before
end
-- A counter is written even when every id was known: then a WAIT after this call has something to wait for.
local enqueued = redis.call('HINCRBY', Q .. 'counts', 'enqueued', jobs - #known)
enqueued = enqueued + vanish('enqueued', ARGV[#ARGV] - (enqueued - jobs + #known))
wake(now, set, next(ready) or next(is_open))
-- An idle worker sleeps until the next due time that it knows of; wake one when there is an earlier one.
if is_earlier and not set.suspended and not set.paused then redis.call('ZADD', Q .. 'wake', 0, 'work') end
if is_earlier or next(ready) and not next(is_open) then redis.call('PUBLISH', C .. 'stirred', '') end
local answer = { enqueued }
for _, i in ipairs(known) do
  answer[#answer + 1] = (i - 1) / 3
  answer[#answer + 1] = state_of(ARGV[i])
end
return answer
