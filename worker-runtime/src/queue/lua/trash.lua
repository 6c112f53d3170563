-- The trash: what an action deletes is gone for the queue at once, its id is free, and a copy stays for a
-- minute, which Redis then deletes by itself. Until then restore.lua can put it back.
local TRASH_MS = 60000

-- job: its state, buried or ended, and when it was buried.
local function put_into_trash(action, id, job)
  for from, to in pairs({ ['job:'] = 'trash:', ['attempt:'] = 'trash-attempt:' }) do
    if redis.call('COPY', Q .. from .. id, Q .. to .. id, 'REPLACE') == 1 then
      redis.call('PEXPIRE', Q .. to .. id, TRASH_MS)
    end
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

-- Back to where it was. Answers false where the minute is over, or its id was used anew.
local function take_from_trash(id, state, at)
  if redis.call('EXISTS', Q .. 'job:' .. id) == 1 or redis.call('EXISTS', Q .. 'trash:' .. id) == 0 then return false end
  redis.call('RENAME', Q .. 'trash:' .. id, Q .. 'job:' .. id)
  local has_attempts = redis.call('EXISTS', Q .. 'trash-attempt:' .. id) == 1
  if has_attempts then redis.call('RENAME', Q .. 'trash-attempt:' .. id, Q .. 'attempt:' .. id) end
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
