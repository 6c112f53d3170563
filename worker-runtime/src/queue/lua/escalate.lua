-- Escalation: an attempt ran out of memory, and its queue names another one whose workers have more (escalateTo in
-- config). The job goes on there, once, as a copy: with the same id, and with what its task has saved. The job itself
-- stays here among the delayed ones and ends as its copy does, so that handles, flows, batches, unique keys and
-- schedules know nothing of it. Where the copy gets lost, the job is due here again after a day.
--
-- attempt:<id>  escalated: the queue that has the copy
-- header        of a copy: o=<queue>, where its job is. Both have FLOW: somebody else hears of their end
local AWAY_MS = 86400000

local function escalates_to(header)
  local queue = not text_field(header, 'o') and redis.call('HGET', Q .. 'config', 'escalateTo')
  return queue and queue ~= '' and queue or nil
end

local SAVED = { attempts = true, crashes = true, tries = true, rests = true, savedBytes = true, checkpoint = true }
local function escalate(id, header, queue)
  local payload = string.match(redis.call('GET', Q .. 'job:' .. id), '\n(.*)$')
  local text, known = { payload }, redis.call('HGETALL', Q .. 'attempt:' .. id)
  for i = 1, #known, 2 do
    if SAVED[known[i]] or string.sub(known[i], 1, 5) == 'step:' then text[#text + 1], text[#text + 2] = known[i], known[i + 1] end
  end
  local flags = FLOW + bit.band(header.flags, KEYED) + (text_field(header, 'g') and TAGGED or 0)
  local call = header.task .. string.gsub(header.fields, ' [udx]=%S+', '') .. ' o=' .. here
  flows().send(queue, 'escalate', id, letter_of(flags) .. header.lane .. ' - ' .. call, cjson.encode(text))
  header.flags = with_flag(header.flags, FLOW)
  remember(id, header, 'escalated', queue, 'readyAtMs', string.format('%d', now + AWAY_MS))
  if has_flag(header.flags, UNIQUE) then redis.call('SADD', Q .. 'uniqueHeld', id) end -- it is not replaced: it may run
  enter_delayed({ now + AWAY_MS, id })
  return 'delayed'
end

-- The copy begins, with all the attempts that a job of this queue has. An outcome with its id is that of an earlier one, or of a job that has ended.
local function begin_copy(id, head, text)
  local saved, origin, other = cjson.decode(text), string.match(head, ' o=(%S+)'), header_of(id)
  if other and text_field(other, 'o') == origin then return end -- told twice
  if other then return flows().send(origin, 'return', id, 'refused', '[""]') end
  local most = string.match(head, ' a=(%d+)') or rule('maxAttempts')
  for i = 2, #saved, 2 do
    if saved[i] == 'attempts' then most = most + saved[i + 1] end
  end
  forget(id)
  new_job(id, string.gsub(head, ' a=%d+', '') .. ' a=' .. most, saved[1])
  local header = header_of(id)
  header.flags = bit.band(header.flags, 63 - EXPIRES) -- it has begun
  redis.call('ZREM', Q .. 'expires', id)
  remember(id, header, unpack(saved, 2))
end

-- Before the copy goes: how it ended, its outcome, and what is known of its attempts.
local function return_home(id, home, how, outcome)
  local text, known = { outcome or '' }, redis.call('HGETALL', Q .. 'attempt:' .. id)
  for i = 1, #known, 2 do
    if string.find(known[i], '^#') or known[i] == 'attempts' or known[i] == 'crashes' or known[i] == 'tries' then
      text[#text + 1], text[#text + 2] = known[i], known[i + 1]
    end
  end
  flows().send(home, 'return', id, how, cjson.encode(text))
end

-- A copy without tries left is buried where its job is.
local function bury_at_home(id, header)
  return_home(id, text_field(header, 'o'), 'buried')
  unlist_failed(id)
  ended(id, 'gone', header.flags - FLOW)
  return 'buried'
end

local function no_longer_away(id, header)
  redis.call('HDEL', Q .. 'attempt:' .. id, 'escalated', 'readyAtMs')
  if has_flag(header.flags, UNIQUE) then redis.call('SREM', Q .. 'uniqueHeld', id) end
end

local function buried_elsewhere(id, header, attempts, record)
  local outcome, group = kind_of(record)
  redis.call('HSET', Q .. 'attempt:' .. id, 'group', group or '')
  if group then
    count_error(group, header.task, record, '')
    list_failed(id, group)
  end
  tell('buried', string.format('%s %s %d %s %s', id, header.task, attempts, outcome, group or '-'))
  bury(id, header)
end

-- The copy has ended. Told twice, or of a job that has ended meanwhile, it is known already.
local function end_as_copy(id, how, text)
  local header, key = header_of(id), Q .. 'attempt:' .. id
  local queue = header and redis.call('HGET', key, 'escalated')
  if not queue or redis.call('ZREM', Q .. 'delayed', id) == 0 then return end
  no_longer_away(id, header)
  local known = cjson.decode(text)
  if #known > 1 then redis.call('HSET', key, unpack(known, 2)) end
  local attempts, crashes, tries = unpack(redis.call('HMGET', key, 'attempts', 'crashes', 'tries'))
  attempts, crashes, tries = tonumber(attempts or 0), tonumber(crashes or 0), tonumber(tries or 0)
  if how == 'refused' then
    tries = redis.call('HINCRBY', key, 'tries', '1')
    redis.call('HSET', key, '#' .. tries, cjson.encode({ outcome = 'out-of-memory', message = 'not escalated: ' .. queue .. ' has another job with this id' }))
  end
  for n = tries - 2 * KEPT_ATTEMPTS, tries - KEPT_ATTEMPTS do redis.call('HDEL', key, '#' .. n) end
  if how == 'completed' then
    local attempt, died, rest = string.match(known[1], '^=c %x+ (%x+)%+?(%x*) %x+ (.*)$')
    local held = { attempt = tonumber(attempt, 16), crashes = tonumber(died, 16) or 0 }
    ended(id, how, header.flags, write_outcome('c', held, header.enqueued, rest))
    if is_watched() then tell(how, id .. ' ' .. header.task) end
  elseif how == 'cancelled' then
    cancelled(id, header, { attempt = attempts, crashes = crashes })
  elseif how == 'gone' then
    drop({ id })
  else
    buried_elsewhere(id, header, attempts, redis.call('HGET', key, '#' .. tries) or '')
  end
end

-- Before the envelope of a job goes, or of its copy, which both are REMEMBERED. Answers whether it is a copy.
local function escalated_ended(id, how, outcome)
  local header = header_of(id)
  local origin = header and text_field(header, 'o')
  local copy_in = header and not origin and redis.call('HGET', Q .. 'attempt:' .. id, 'escalated')
  if origin then return_home(id, origin, how, outcome) end
  if copy_in then
    no_longer_away(id, header)
    flows().send(copy_in, 'recall', id, here, '')
  end
  return origin ~= nil
end

-- Wherever a job with FLOW ends: whoever waits for its end hears of it.
local function tell_others(id, how, flags, outcome)
  if has_flag(flags, REMEMBERED) and seldom().escalated_ended(id, how, outcome) then return end
  tell_flow(id, how, outcome)
end
