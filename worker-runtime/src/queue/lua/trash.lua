-- The trash: what an action deletes is gone for the queue at once, its id is free, and a copy stays for a
-- minute, which Redis then deletes by itself. Until then restore.lua can put it back.
local TRASH_MS = 60000

-- Two actions may delete jobs of one id, one after the other: each has a copy of its own.
local function trash_keys(action, id)
  return Q .. 'trash:' .. action .. ':' .. id, Q .. 'trash-attempt:' .. action .. ':' .. id
end

-- job: its state, buried or ended, and when it was buried.
local function put_into_trash(action, id, job)
  local trash, trash_attempt = trash_keys(action, id)
  for from, to in pairs({ ['job:'] = trash, ['attempt:'] = trash_attempt }) do
    if redis.call('COPY', Q .. from .. id, to, 'REPLACE') == 1 then redis.call('PEXPIRE', to, TRASH_MS) end
  end
  redis.call('RPUSH', Q .. 'trashed:' .. action, string.format('%s %s %s', id, job.state, job.at or '-'))
  redis.call('PEXPIRE', Q .. 'trashed:' .. action, TRASH_MS)
  if job.state == 'buried' then return drop_buried({ id }) end
  forget(id)
  tell('deleted', id)
end

-- Its group of errors may have been forgotten meanwhile.
local function list_failed_again(id, at)
  local group = redis.call('HGET', Q .. 'attempt:' .. id, 'group')
  if not group then return end
  if redis.call('ZSCORE', Q .. 'errors', group) then
    redis.call('ZADD', Q .. 'failed:' .. group, at, id)
  else
    redis.call('HDEL', Q .. 'attempt:' .. id, 'group')
  end
end

-- Back to where it was. Answers false where the minute is over, or its id was used anew. Where that one was
-- cancelled, its entry may be in a lane still, and would pass for this one.
local function take_from_trash(action, id, state, at)
  local trash, trash_attempt = trash_keys(action, id)
  if redis.call('EXISTS', Q .. 'job:' .. id) == 1 or redis.call('EXISTS', trash) == 0 then return false end
  remove_tombstone(id)
  redis.call('RENAME', trash, Q .. 'job:' .. id)
  local has_attempts = redis.call('EXISTS', trash_attempt) == 1
  if has_attempts then redis.call('RENAME', trash_attempt, Q .. 'attempt:' .. id) end
  if state == 'buried' then
    redis.call('PERSIST', Q .. 'job:' .. id)
    if has_attempts then redis.call('PERSIST', Q .. 'attempt:' .. id) end
    redis.call('ZADD', Q .. 'buried', at, id)
    list_failed_again(id, at)
    local header = header_of(id)
    local tags = header and text_field(header, 'g')
    if tags then index_tags(id, tags, header.enqueued) end
  else
    local ended_ms = tonumber(string.match(redis.call('GET', Q .. 'job:' .. id), '^=. (%x+)') or '0', 16)
    local left = math.max(1, ended_ms + set.completedMaxAgeMs - now)
    redis.call('PEXPIRE', Q .. 'job:' .. id, left)
    if has_attempts then redis.call('PEXPIRE', Q .. 'attempt:' .. id, left) end
  end
  return true
end
