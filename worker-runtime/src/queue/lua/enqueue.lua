-- Enqueues 1 to 1,000 jobs, all or none. Safe to run twice: a known id is left alone and answers its state.
-- KEYS  the queue
-- ARGV  per job three: id, '<flags><lane> <when> <task>' and named fields, or '' for the same as the job before, payload
--       when: '-' at once, '+<ms>' from now, '@<ms>' on the wall clock
--       and last the counter enqueued as the caller saw it last
-- returns  how many were ever enqueued, as a number below zero, which no other server answers by chance; where jobs
--          were known already, or had a unique key that is taken (unique.lua), a list of that, above zero, then for each
--          of them two: its place from 0, its state or what became of it; or an error that names the limit
if begun then -- by enqueue-plain.lua
  if opened then seldom().open_lane(opened) end
  return -begun - seldom().vanish('enqueued', ARGV[4] - (begun - 1))
end
local args, most = ARGV, set.maxPayloadBytes
local jobs = (#args - 1) / 3
for i = 3, #args, 3 do
  if #args[i] > most then return redis.error_reply('PAYLOADTOOLARGE ' .. #args[i] .. ' ' .. most .. ' ' .. args[i - 2]) end
end
counts = counts or redis.call('HMGET', COUNTS, 'ready', 'idle')
local before, is_any_idle = tonumber(counts[1] or 0), counts[2]
local waiting = before + redis.call('ZCARD', Q .. 'delayed')
if waiting + jobs > set.maxLength then
  -- Jobs that are there already need no room: a call that is repeated because its answer was lost must not be refused.
  local new, is_named, head = 0, {}, nil
  for i = 1, #args - 1, 3 do
    local id = args[i]
    if args[i + 1] ~= '' then head = args[i + 1] end
    if not is_named[id] and seldom().is_new_job(id, head) then new = new + 1 end
    is_named[id] = true
  end
  if new > 0 and waiting + new > set.maxLength then return redis.error_reply('QUEUEFULL ' .. waiting .. ' ' .. set.maxLength) end
end
local refusal = set.limits and limited().refusal_of(args)
if refusal then return refusal end
if set.tombstones then
  for i = 1, #args - 1, 3 do seldom().remove_tombstone(args[i]) end
end

-- A queue that nobody declared has a layout too: that of its first job.
if set.layout ~= LAYOUT then seldom().note_settings() end
local job_key, head, spec, call, due, flags, lane = Q .. 'job:', nil, nil, nil, nil, nil, nil
local answer, ids, entered, delayed = { 0 }, {}, 0, nil
for i = 1, #args - 1, 3 do
  local id = args[i]
  if args[i + 1] ~= '' then
    if #ids > 0 then
      enter_lane(lane, ids, 'RPUSH')
      ids, entered = {}, entered + #ids
    end
    local sign, ms
    spec = args[i + 1]
    flags, lane, sign, ms, call = string.match(spec, '^(.)(%S+) ([-+@])(%S*) (.*)')
    due = sign == '-' and now or ms + (sign == '+' and now or 0)
    if flags ~= '0' or set.expiresInMs then flags, call = seldom().with_expiry(flags, call, due) end
    head = write_header(flags, lane, now_ms, due > now and string.format('%s d=%d', call, due) or call)
  end
  local taken = flags ~= '0' and seldom().taken_by(id, spec, call, due, args[i + 2])
  local is_new = not taken and redis.call('SETNX', job_key .. id, head .. args[i + 2]) == 1
  if is_new and flags ~= '0' then seldom().entered_flagged(id, flags, call) end
  if not is_new then
    answer[#answer + 1], answer[#answer + 2] = (i - 1) / 3, taken or id
  elseif due > now then
    delayed = delayed or {}
    delayed[#delayed + 1], delayed[#delayed + 2] = due, id
  else
    ids[#ids + 1] = id
  end
end
-- An idle worker gets it at once: where no other job is ready before it, and none comes with it that might be more urgent.
local is_given = is_any_idle and jobs == 1 and #ids == 1 and before == 0 and seldom().give(args[1], head .. args[3], lane)
if #ids > 0 and not is_given then
  enter_lane(lane, ids, 'RPUSH')
  entered = entered + #ids
end
-- An idle worker sleeps until the next due time that it knows of.
local is_earlier = is_moved
if delayed then
  local next_before = seldom().next_ms()
  seldom().enter_delayed(delayed)
  is_earlier = is_moved or next_before < 0 or seldom().next_ms() < next_before
end
-- A counter is written even when every id was known: then a WAIT after this call has something to wait for.
local new = jobs - (#answer - 1) / 2
answer[1] = redis.call('HINCRBY', COUNTS, 'enqueued', new == 1 and '1' or new)
local behind = args[#args] - (answer[1] - new)
if behind > 0 then answer[1] = answer[1] + seldom().vanish('enqueued', behind) end
-- Where jobs were ready before, the marker was set, and popped at most by a worker whose claim sets it again.
if set.limits then before = limited().supersede(args, before) end
if is_earlier or entered > 0 and (before == 0 or is_any_idle) then seldom().wake(is_earlier) else write_counts() end
if is_earlier or entered > 0 and before == 0 then redis.call('PUBLISH', C .. 'stirred', '') end
if told or set.watchedUntilMs then seldom().tell_enqueue(args, answer, is_given) end
if #answer == 1 then return -answer[1] end -- a list takes Redis as long as a command
for i = 3, #answer, 2 do answer[i] = string.find(answer[i], ' ') and answer[i] or seldom().state_of(answer[i]) end
return answer
