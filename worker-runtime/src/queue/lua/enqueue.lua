-- Enqueues 1 to 1,000 jobs, all or none. Safe to run twice: a known id is left alone and answers its state.
-- KEYS  the queue
-- ARGV  per job three: id, '<lane> <when> <task>' and named fields, or '' for the same as the job before, payload
--       when: '-' at once, '+<ms>' from now, '@<ms>' on the wall clock
--       and last the counter enqueued as the caller saw it last
-- returns  how many were ever enqueued, then per job that was known already two: its place from 0, its state; or an error that names
--          the limit
local args, most = ARGV, set.maxPayloadBytes
local jobs = (#args - 1) / 3
for i = 3, #args, 3 do
  if #args[i] > most then return redis.error_reply('PAYLOADTOOLARGE ' .. #args[i] .. ' ' .. most .. ' ' .. args[i - 2]) end
end
local counts = redis.call('HMGET', Q .. 'counts', 'ready', 'blocked')
local waiting = (counts[1] or 0) + (counts[2] or 0) + redis.call('ZCARD', Q .. 'delayed')
if waiting + jobs > set.maxLength then
  -- Jobs that are there already need no room: a call that is repeated because its answer was lost must not be refused.
  local new, is_named = 0, {}
  for i = 1, #args - 1, 3 do
    local id = args[i]
    if not is_named[id] then new = new + 1 - redis.call('EXISTS', Q .. 'job:' .. id) end
    is_named[id] = true
  end
  if new > 0 and waiting + new > set.maxLength then return redis.error_reply('QUEUEFULL ' .. waiting .. ' ' .. set.maxLength) end
end
if set.tombstones then
  for i = 1, #args - 1, 3 do seldom().remove_tombstone(args[i]) end
end

-- A queue that nobody declared has a layout too: that of its first job.
if set.layout ~= LAYOUT then redis.call('HSET', Q .. 'config', 'layout', LAYOUT) end
local job_key, head, due, lane = Q .. 'job:', nil, nil, nil
local known, ready, delayed = {}, {}, {}
for i = 1, #args - 1, 3 do
  local id = args[i]
  if args[i + 1] ~= '' then
    local sign, ms, call
    lane, sign, ms, call = string.match(args[i + 1], '^(%S+) ([-+@])(%S*) (.*)')
    due = sign == '-' and now or ms + (sign == '+' and now or 0)
    head = write_header(lane, now, due > now and string.format('%s d=%d', call, due) or call)
  end
  if not redis.call('SET', job_key .. id, head .. args[i + 2], 'NX') then
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
-- An idle worker gets it at once: where no other job is ready before it, and none comes with it that might be more urgent.
if set.idle and jobs == 1 and next(ready) and (tonumber(counts[1]) or 0) == 0 and seldom().give(args[1], head .. args[3]) then
  ready = {}
end
local before = #delayed > 0 and seldom().next_ms()
enter(ready, delayed, 'RPUSH')
-- An idle worker sleeps until the next due time that it knows of.
local is_earlier = before and (before < 0 or seldom().next_ms() < before)
-- A counter is written even when every id was known: then a WAIT after this call has something to wait for.
local enqueued = redis.call('HINCRBY', Q .. 'counts', 'enqueued', jobs - #known)
enqueued = enqueued + vanish('enqueued', args[#args] - (enqueued - jobs + #known))
wake(is_earlier)
if is_earlier or next(ready) and (tonumber(counts[1]) or 0) == 0 then redis.call('PUBLISH', C .. 'stirred', '') end
local answer = { enqueued }
for _, i in ipairs(known) do
  answer[#answer + 1] = (i - 1) / 3
  answer[#answer + 1] = seldom().state_of(args[i])
end
return answer
