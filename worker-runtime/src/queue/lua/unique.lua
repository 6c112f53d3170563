-- Unique jobs: one job at a time has a unique key. unique:<key> is the id of that job; uniqueHeld has the unique
-- jobs that are held; again:<id> is the enqueue that follows when this job has ended.
--
-- The field u of a header is <while><on duplicate>:<key>. while: w until its first claim, u until it has ended,
-- f<ms> for so long from its enqueue, whatever becomes of it. on duplicate: k keep, r replace, a run again.
--
-- Whoever frees a key looks whether it is its own. So a job that began, was buried or lost its envelope takes
-- nothing from the next one.
local function unique_of(fields)
  local time, ms, policy, key = string.match(fields, ' u=([wuf])(%d*)([kra]):(%S+)')
  return { time = time, ms = ms, policy = policy, name = Q .. 'unique:' .. key }
end

local function free_key(id, unique)
  if redis.call('GET', unique.name) == id then redis.call('DEL', unique.name) end
end

-- The id of another job that has the key: one that waits or is held, or one whose time is not over.
local function holder_of_key(unique)
  local other = redis.call('GET', unique.name)
  if not other then return nil end
  local is_there = redis.call('GETRANGE', Q .. 'job:' .. other, '0', '0') == '2' or redis.call('PTTL', unique.name) >= 0
  return is_there and other or nil
end

local function take_key(id, unique)
  redis.call('SET', unique.name, id)
  if unique.time == 'f' then redis.call('PEXPIRE', unique.name, unique.ms) end
end

local is_moved = false -- a job that was replaced may be claimed sooner than before: a call that has one wakes with news

-- What another input made no longer stands for its steps (save.lua).
local function forget_saved(id)
  for _, field in ipairs(redis.call('HKEYS', Q .. 'attempt:' .. id)) do
    if field == 'checkpoint' or field == 'savedBytes' or string.sub(field, 1, 5) == 'step:' then redis.call('HDEL', Q .. 'attempt:' .. id, field) end
  end
end

-- A job that waits gets task, input, due time and options of another enqueue. Its place stays: id, lane, key and
-- tags. One that is ready is not put off again: whoever waits in a long queue would never start.
local function replace(id, call, due, payload)
  local header = header_of(id)
  local is_delayed = redis.call('ZSCORE', Q .. 'delayed', id)
  local at = is_delayed and math.max(due, now) or field(header, 'd')
  local has_begun = has_flag(header.flags, REMEMBERED)
  call = string.gsub(call, has_begun and ' [gudx]=%S+' or ' [gud]=%S+', '') .. (string.match(header.fields, ' g=%S+') or '')
  call = call .. string.match(header.fields, ' u=%S+') .. (at and string.format(' d=%d', at) or '')
  local expires = string.find(call, ' x=', 1, true)
  local flags = bit.band(header.flags, 63 - EXPIRES) + (expires and EXPIRES or 0)
  redis.call('SET', Q .. 'job:' .. id, write_header(letter_of(flags), header.lane, string.format('%d', header.enqueued), call) .. payload)
  redis.call('DEL', Q .. 'again:' .. id)
  if expires then note_expiry(id, call) else redis.call('ZREM', Q .. 'expires', id) end
  if has_begun then forget_saved(id) end
  if not is_delayed then return end
  if has_begun then redis.call('HSET', Q .. 'attempt:' .. id, 'readyAtMs', at) end
  is_moved = true
  if at > now then return enter_delayed({ at, id }) end
  redis.call('ZREM', Q .. 'delayed', id)
  enter_lane(header.lane, { id }, 'RPUSH')
end

-- The header of the job that has the key and has not ended: nil where it is buried or gone, also where another job
-- has its id by now.
local function header_with(id, unique)
  local header = header_of(id)
  local is_its = header and has_flag(header.flags, UNIQUE) and unique_of(header.fields).name == unique.name
  return is_its and not redis.call('ZSCORE', Q .. 'buried', id) and header or nil
end

-- Where the unique key of a new job is taken: what became of its enqueue, and the id of the other job. Else nil: a
-- key is its own now. `spec` is its head as in an enqueue, `call` the part of the header.
local function taken_by(id, spec, call, due, payload)
  local is_unique = has_flag(flags_of(string.sub(spec, 1, 1)), UNIQUE)
  if not is_unique or redis.call('EXISTS', Q .. 'job:' .. id) == 1 then return nil end
  local unique = unique_of(call)
  local other = holder_of_key(unique)
  local header = other and header_with(other, unique)
  local is_held = other and redis.call('SISMEMBER', Q .. 'uniqueHeld', other) == 1
  if header and not is_held and is_overdue(header) then
    expire_waiting(other, header)
    other, header = holder_of_key(unique), nil
  end
  if not other then return take_key(id, unique) end
  if not header or unique.policy == 'k' then return 'duplicate ' .. other end
  if not is_held then
    replace(other, call, due, payload)
    return 'replaced ' .. other
  end
  if unique.policy == 'r' then return 'duplicate ' .. other end
  redis.call('SET', Q .. 'again:' .. other, id .. ' ' .. spec .. '\n' .. payload)
  return 'runs-again ' .. other
end

-- Whether an enqueue would add a job: its id is not known, and its key is free.
local function is_new_job(id, head)
  if redis.call('EXISTS', Q .. 'job:' .. id) == 1 then return false end
  return not string.find(head, ' u=', 1, true) or not holder_of_key(unique_of(head))
end

local function unique_begins(id, fields)
  redis.call('SADD', Q .. 'uniqueHeld', id)
  local unique = unique_of(fields)
  if unique.time == 'w' then free_key(id, unique) end
end

-- Before its envelope goes. One that was deleted takes what was to follow along: it waited itself.
local function unique_ended(id, how)
  local header = header_of(id)
  if not header then return end
  local unique = unique_of(header.fields)
  local again = redis.call('GETDEL', Q .. 'again:' .. id)
  if unique.time ~= 'f' or again then free_key(id, unique) end
  if again and how ~= 'gone' then flows().new_job(string.match(again, '^(%S+) ([^\n]*)\n(.*)$')) end
end

-- A buried job has no key. It may wait again where no other one has it.
local function takes_key_again(id, header)
  local unique = unique_of(header.fields)
  if unique.time == 'f' then return true end
  if holder_of_key(unique) then return false end
  take_key(id, unique)
  return true
end
