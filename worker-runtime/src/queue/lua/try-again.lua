-- The retry rule: a job whose attempt failed, or whose worker died, is ready again, delayed or buried.
-- (retry.lua is the verb of a person, for buried jobs.)

-- Full jitter: anything from nothing to the doubled base (aws.amazon.com/builders-library, timeouts and
-- back-off).
local function backoff_ms(nth, header)
  local base, most = field(header, 'b') or rule('backoffMs'), field(header, 'm') or rule('maxBackoffMs')
  return math.floor(math.random() * math.min(most, base * 2 ^ math.min(nth - 1, 40)))
end

-- An attempt ended without success, or its worker died: why.crashed is 'counted', or 'uncounted' where
-- somebody else ended that. why.record is JSON for the people who look at it later; why.worker had the job. A
-- first crash comes back at once: mostly it was not the job's fault. Answers what became of the job.
local function try_again(id, held, why)
  local header, crashed = header_of(id), why.crashed
  if not header then return 'unknown' end
  local crashes = held.crashes + (crashed == 'counted' and 1 or 0)
  local attempts = held.attempt - (crashed and 1 or 0)
  remember(id, header, 'attempts', attempts, 'crashes', crashes)
  local nth = redis.call('HINCRBY', Q .. 'attempt:' .. id, 'tries', '1')
  local outcome, group = kind_of(why.record)
  redis.call('HSET', Q .. 'attempt:' .. id, '#' .. nth, why.record, 'group', group or '')
  redis.call('HDEL', Q .. 'attempt:' .. id, 'progress', '#' .. (nth - KEPT_ATTEMPTS))
  if is_cancelled(id, held.flags) then return cancelled(id, header, { attempt = held.attempt, crashes = crashes }) end
  if crashed == 'uncounted' then
    tell('handed-back', string.format('%s %s %s', id, header.task, outcome))
    return ready_again(id, header)
  end
  if group then count_error(group, header.task, why.record, why.worker) end
  local elsewhere = outcome == 'out-of-memory' and escalates_to(header)
  if elsewhere then
    tell('escalated', string.format('%s %s %d %s %s', id, header.task, held.attempt, outcome, group or '-'))
    count('retried', 1)
    return escalate(id, header, elsewhere)
  end
  local line = string.format('%s %s %d %s %s', id, header.task, held.attempt, outcome, group or '-')
  local exhausted = crashed and crashes >= (field(header, 'c') or rule('maxCrashes'))
    or not crashed and attempts >= (field(header, 'a') or rule('maxAttempts'))
  if why.terminal or exhausted then
    if group then list_failed(id, group) end
    tell('buried', line)
    return bury(id, header)
  end
  tell('retried', line)
  count('retried', 1)
  local wait = crashed and (crashes > 1 and backoff_ms(crashes - 1, header) or 0) or not crashed and backoff_ms(attempts, header)
  if wait == 0 then
    ready_again(id, header)
  else
    redis.call('HSET', Q .. 'attempt:' .. id, 'readyAtMs', now + wait)
    enter_delayed({ now + wait, id })
  end
  return 'delayed'
end
