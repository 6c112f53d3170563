-- The life of a job. Every transition is one of these functions, or promote.lua (due), or try-again.lua
-- (failed or crashed); verbs compose them and decide none themselves.
--
--   enqueue -> ready or delayed        delayed -> ready            (due)
--   ready -> held -> completed         held -> delayed or ready    (failed or crashed, with tries left)
--            held -> ready (handed back)       held -> buried      (no tries left)
--   ready, delayed, held -> cancelled          buried -> ready     (by hand)
--   ready, delayed -> expired                                      (it has not started in time)
--   ready, delayed, buried -> gone             (deleted by hand, or buried too long or among too many)
--
-- enter_lane and enter_delayed begin to wait, hold and leave_held are the gates of held, ended is the end. An
-- id is in exactly one of these; only the call that takes it out of one puts it into the next.

-- enter_lane, enter_delayed: jobs begin to wait, at most 1,000. At the end (RPUSH) or at the head (LPUSH) of
-- a lane; and until they are due, with due times and ids in turn.
local function enter_lane(lane, ids, push)
  local length = redis.call(push, Q .. 'ready:' .. lane, unpack(ids))
  counted.ready = counted.ready + #ids
  if set.limits and limited().entered_blocked(lane, #ids, length) then return end
  if length == #ids then seldom().open_lane(lane) end -- it was empty
end

local function enter_delayed(due) redis.call('ZADD', Q .. 'delayed', unpack(due)) end

-- hold: the one gate into held, for at most 2,000. What `take` has put behind the first `from` of a list
-- belongs to the worker from now on, under tokens of its own: the second of each three becomes the whole
-- entry.
local function hold(worker, taken, from, jobs)
  local token = redis.call('HINCRBY', COUNTS, 'claimed', jobs == 1 and '1' or jobs) - jobs
  local entries, flagged = {}, nil
  for n = 1, jobs do
    local at, i = from + 3 * n - 2, 2 * n
    if taken[at + 1] ~= '1:0' and string.byte(taken[at + 2], 2) ~= 48 + FLOW then
      flagged = flagged or {}
      flagged[#flagged + 1] = at
    end
    local entry = string.format('%d:%s', token + n, taken[at + 1])
    taken[at + 1] = entry
    entries[i - 1], entries[i] = taken[at], entry
  end
  redis.call('HSET', Q .. 'held:' .. worker, unpack(entries))
  if flagged then keyed().held_flagged(taken, flagged) end
  counted.busy = counted.busy + jobs
end

-- leave_held: the one gate out of held. It frees memory, or would: called before anything is written, it lets
-- jobs end and be claimed in a full Redis too. `flagged` has the entries that are not FIRST, by id.
local function leave_held(worker, ids, flagged)
  local left = 0
  if #ids == 0 then ids = { '' } end
  for first = 1, #ids, SLICE do left = left + redis.call('HDEL', Q .. 'held:' .. worker, slice(ids, first)) end
  counted.busy = counted.busy - left
  if flagged then keyed().unheld_flagged(flagged) end
  return left
end

local function forget(id) redis.call('UNLINK', Q .. 'job:' .. id, Q .. 'attempt:' .. id) end

-- Tells the clients that wait for this job, and forgets them; without an outcome they look themselves.
local function tell_waiters(id, outcome)
  local clients = redis.call('HGET', Q .. 'waiters', id)
  if not clients then return end
  redis.call('HDEL', Q .. 'waiters', id)
  for client in string.gmatch(clients, '%S+') do redis.call('PUBLISH', C .. 'ended:' .. client, id .. ' ' .. outcome) end
end

-- ended: the one end of every job: completed, cancelled or expired (the outcome overwrites the envelope; for its time
-- to live it is the result, and the proof that this id is done), buried, or gone. What else has to happen
-- when a job ends has its place here, or in flagged.lua where it is not for all of them.
local is_waited -- whether anybody waits for a job of this queue: asked once a call
local kept = {} -- ids of this call whose outcome is kept
local age_text
local function ended(id, how, flags, outcome)
  if is_waited == nil then is_waited = redis.call('EXISTS', Q .. 'waiters') == 1 end
  if is_waited then seldom().tell_waiters(id, outcome or '') end
  if flags > 3 then
    if flags % FLOW > 3 then seldom().ended_flagged(id, how, flags) end
    if flags >= FLOW then flows().tell_others(id, how, flags, outcome) end
  end
  if outcome and set.completedMaxAgeMs > 0 and set.completedMaxCount > 0 then
    age_text = age_text or string.format('%d', set.completedMaxAgeMs)
    redis.call('SET', Q .. 'job:' .. id, outcome, 'PX', age_text)
    if flags % 2 == 1 then redis.call('PEXPIRE', Q .. 'attempt:' .. id, age_text) end
    kept[#kept + 1] = id
  elseif how == 'buried' then
    redis.call('ZADD', Q .. 'buried', now, id)
  else
    seldom().forget(id)
  end
  if how ~= 'gone' then counted[how] = (counted[how] or 0) + 1 end
end

-- Behind all that ended in a call: the list of outcomes becomes as short as the settings say; an outcome that
-- leaves it is gone.
local function keep_outcomes()
  local length = 0
  local ended_ids = #kept
  for first = 1, ended_ids, SLICE do length = redis.call('LPUSH', Q .. 'completed', slice(kept, first)) end
  if ended_ids > 0 then kept = {} end
  if length <= set.completedMaxCount then return end
  -- An id may be in use again: its first outcome ran out of time, and it was enqueued a second time. Only an
  -- outcome has a time to live.
  for _, id in ipairs(redis.call('RPOP', Q .. 'completed', math.min(length - set.completedMaxCount, 1000 + ended_ids))) do
    if redis.call('PTTL', Q .. 'job:' .. id) >= 0 then seldom().forget(id) end
  end
end

-- Jobs that wait nowhere any more are deleted for good.
local function drop(ids)
  for _, id in ipairs(ids) do
    local flag = redis.call('GETRANGE', Q .. 'job:' .. id, '1', '1')
    ended(id, 'gone', flag == '' and 0 or flags_of(flag))
    tell('deleted', id)
  end
end

local function drop_buried(ids)
  for first = 1, #ids, SLICE do redis.call('ZREM', Q .. 'buried', slice(ids, first)) end
  for _, id in ipairs(ids) do unlist_failed(id) end
  drop(ids)
end

local KEPT_ATTEMPTS = 5 -- of attempts that ended without success, the records

local function remember(id, header, ...)
  header.flags = with_flag(header.flags, REMEMBERED)
  redis.call('SETRANGE', Q .. 'job:' .. id, '1', letter_of(header.flags))
  redis.call('HSET', Q .. 'attempt:' .. id, ...)
end

-- The same for a held job: its entry has the flag too. Answers nothing where its envelope is lost.
local function remember_held(worker, id, held, ...)
  if has_flag(held.flags, REMEMBERED) then return redis.call('HSET', Q .. 'attempt:' .. id, ...) end
  local header = header_of(id)
  if not header then return end
  remember(id, header, ...)
  return redis.call('HSET', Q .. 'held:' .. worker, id, held.token .. ':' .. tries_of(held.attempt, held.crashes, header.flags, header.lane))
end

-- Out of what waits: a delayed job is taken out, of a ready one a tombstone stays.
local function leave_waiting(id, state, lane)
  if state == 'delayed' then return redis.call('ZREM', Q .. 'delayed', id) end
  leave_tombstone(id, lane)
end

local function cancelled(id, header, tries)
  ended(id, 'cancelled', header.flags, write_outcome('x', tries, header.enqueued, header.task .. '\nnull'))
  tell('cancelled', id .. ' ' .. header.task)
  return 'cancelled'
end

local function cancelled_held(id, held)
  local header = header_of(id)
  return header and cancelled(id, header, held) or 'unknown'
end

-- True when a person cancelled the job while it was held.
local function is_cancelled(id, flags)
  return has_flag(flags, REMEMBERED) and redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 1
end

local function ready_again(id, header)
  remember(id, header, 'readyAtMs', now)
  enter_lane(header.lane, { id }, 'LPUSH')
  return 'ready'
end

local function hand_back(id, held, why)
  local header = header_of(id)
  if not header then return 'unknown' end
  if is_cancelled(id, held.flags) then return cancelled(id, header, held) end
  tell('handed-back', id .. ' ' .. header.task .. (why ~= '' and ' ' .. why or ''))
  return ready_again(id, header)
end

local function bury(id, header)
  if text_field(header, 'o') then return seldom().bury_at_home(id, header) end
  ended(id, 'buried', header.flags)
  local excess = redis.call('ZCARD', Q .. 'buried') - rule('buriedMaxCount')
  if excess > 0 then drop_buried(redis.call('ZRANGE', Q .. 'buried', '0', math.min(excess, 100) - 1)) end
  return 'buried'
end

-- The time from which a ready job is ready: its enqueue, its due time, or a later note.
local function ready_since(id, header)
  local noted = has_flag(header.flags, REMEMBERED) and redis.call('HGET', Q .. 'attempt:' .. id, 'readyAtMs')
  return tonumber(noted) or field(header, 'd') or header.enqueued
end

-- Which worker holds the id, and its entry. O(workers): for people's questions, never on the path of a job.
local function holder_of(id)
  for _, worker in ipairs(redis.call('ZRANGE', Q .. 'workers', '0', '-1')) do
    local value = redis.call('HGET', Q .. 'held:' .. worker, id)
    if value then return worker, value end
  end
end

local function state_of(id)
  local start = redis.call('GETRANGE', Q .. 'job:' .. id, '0', '1')
  if start == '' then return 'unknown' end
  if string.byte(start) == 61 then return start == '=c' and 'completed' or start == '=e' and 'expired' or 'cancelled' end
  if redis.call('ZSCORE', Q .. 'delayed', id) then return 'delayed' end
  if redis.call('ZSCORE', Q .. 'buried', id) then return 'buried' end
  return holder_of(id) and 'held' or 'ready'
end
