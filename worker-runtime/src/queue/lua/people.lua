-- What the verbs of people share: the states of many jobs at once, and what a list shows of a failed attempt.
-- Off the path of every job.

-- state_of of many ids in O(ids + workers + held jobs), where each alone would ask every worker. By id: state,
-- line (the first of its envelope or outcome), at (ms: when it is due, or was buried), worker and entry.
local function states_of(ids)
  local found, unclear = {}, false
  for _, id in ipairs(ids) do
    local line = string.match(redis.call('GETRANGE', Q .. 'job:' .. id, '0', MAX_HEADER), '^[^\n]*')
    local start = string.byte(line)
    local job = { line = line, state = start == 61 and 'completed' or start == 50 and 'ready' or 'unknown' }
    if job.state == 'ready' then
      for _, state in ipairs({ 'delayed', 'buried' }) do
        local at = redis.call('ZSCORE', Q .. state, id)
        if at then job.state, job.at = state, at end
      end
      unclear = unclear or job.state == 'ready'
    end
    if start == 61 and string.sub(line, 2, 2) ~= 'c' then job.state = string.sub(line, 2, 2) == 'e' and 'expired' or 'cancelled' end
    found[id] = job
  end
  for _, worker in ipairs(unclear and redis.call('ZRANGE', Q .. 'workers', '0', '-1') or {}) do
    local held = redis.call('HGETALL', Q .. 'held:' .. worker)
    for i = 1, #held, 2 do
      local job = found[held[i]]
      if job and job.state == 'ready' then job.state, job.worker, job.entry = 'held', worker, held[i + 1] end
    end
  end
  return found
end

-- The record of the last failed attempt without stack and output, as JSON; '' where there is none. A record
-- may have 20 KB; what a list shows of it is small.
local function last_failure(id)
  local last = redis.call('HGET', Q .. 'attempt:' .. id, 'tries')
  local known, record = pcall(cjson.decode, last and redis.call('HGET', Q .. 'attempt:' .. id, '#' .. last) or '')
  if not known or type(record) ~= 'table' then return '' end
  local error = type(record.error) == 'table' and record.error or nil
  if error then error.stack = nil end
  return cjson.encode({ outcome = record.outcome, message = record.message, error = error })
end

-- A job that waits ends now; a held one is flagged, and its worker is told. job: its state, and of a held one
-- worker and entry.
local function cancel_job(id, job)
  if job.state == 'held' then
    local worker = job.worker
    remember_held(worker, id, parse_held(job.entry), 'cancel', 1)
    local waiting = redis.call('HGET', Q .. 'worker:' .. worker, 'cancel') or ''
    if not string.find(' ' .. waiting .. ' ', ' ' .. id .. ' ', 1, true) then
      redis.call('HSET', Q .. 'worker:' .. worker, 'cancel', waiting .. ' ' .. id)
    end
    redis.call('PUBLISH', C .. 'worker:' .. worker, id)
    return 'cancelling'
  end
  local header = (job.state == 'ready' or job.state == 'delayed') and header_of(id)
  if not header then return job.state end
  leave_waiting(id, job.state, header.lane)
  local tries = redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes')
  return cancelled(id, header, { attempt = tonumber(tries[1]) or 0, crashes = tonumber(tries[2]) or 0 })
end

-- A buried job gets all its tries again. What is known of its earlier attempts stays. Answers ready; key-taken
-- where another job has its unique key by now: then it stays buried; or nothing.
local function retry_job(id)
  local header = redis.call('ZSCORE', Q .. 'buried', id) and header_of(id)
  if header and has_flag(header.flags, UNIQUE) and not takes_key_again(id, header) then return 'key-taken' end
  redis.call('ZREM', Q .. 'buried', id)
  if not header then return nil end
  unlist_failed(id)
  redis.call('HDEL', Q .. 'attempt:' .. id, 'attempts', 'crashes', 'cancel')
  remember(id, header, 'readyAtMs', now)
  enter_lane(header.lane, { id }, 'RPUSH')
  tell('requeued', id .. ' ' .. header.task)
  return 'ready'
end
