-- Settles attempts that ended, then claims jobs for the slots that are free: one round trip for both.
-- KEYS  the queue
-- ARGV  worker, sequence number, jobs wanted, seed, then per attempt four: id, token, verdict (completed, failed, terminal,
--       cancelled, handed-back), text (completed: '<enqueued ms> <task> <facts>\n<result>'; failed, terminal: the record as JSON)
-- returns  {status, ms until the next delayed job or -1, what became of each settled, id, token, attempt, crashes, envelope, ...}
--          status: ok, dead, stale (old sequence number), draining, closed (suspended or paused)
-- Safe to run twice: what was settled is no longer held under its token ('not-yours'), and a claim whose answer was lost is
-- found by resync.
local MAX_BYTES, MAX_PROMOTED, MAX_LOOKED_AT = 4 * 1024 * 1024, 100, 2000
local me, seq, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
even_when_full()
if tonumber(redis.call('ZSCORE', Q .. 'workers', me) or 0) == 0 then return { 'dead', -1, {} } end
math.randomseed(tonumber(ARGV[4]))
local now, set = now_ms(), settings()
local held_key = Q .. 'held:' .. me
local counted = { busy = 0, completed = 0, claimed = 0, tombstones = 0 }

local function settle()
  local ids = {}
  for i = 5, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
  if #ids == 0 then return {} end
  local values = redis.call('HMGET', held_key, unpack(ids))
  local became, mine, ended = {}, {}, {}
  for n, id in ipairs(ids) do
    local token, verdict, text = ARGV[2 + 4 * n], ARGV[3 + 4 * n], ARGV[4 + 4 * n]
    local held = values[n] and parse_held(values[n])
    if not held or held.token ~= token then
      became[n] = 'not-yours'
    else
      mine[#mine + 1] = id
      values[n] = held
    end
  end
  -- What frees memory comes first: a full Redis then still lets jobs end.
  if #mine > 0 then redis.call('HDEL', held_key, unpack(mine)) end
  for n, id in ipairs(ids) do
    local verdict, text, held = ARGV[3 + 4 * n], ARGV[4 + 4 * n], values[n]
    if became[n] then
      -- refused above
    elseif verdict == 'completed' then
      local enqueued, rest = string.match(text, '^(%d+) (.*)')
      local outcome = outcome_of('c', held.attempt, held.crashes, enqueued, now, rest)
      ended[#ended + 1] = finish(id, outcome, held.remembered, set)
      counted.completed = counted.completed + 1
      became[n] = 'completed'
    elseif verdict == 'handed-back' then
      became[n] = hand_back(id, held, now, set)
    elseif verdict == 'cancelled' then
      local header = header_of(id)
      if header then end_as_cancelled(id, header, held.attempt, held.crashes, now, set) end
      became[n] = 'cancelled'
    else
      became[n] = try_again(id, held, text, false, verdict == 'terminal', now, set)
    end
  end
  counted.busy = counted.busy - #mine
  keep_ended(ended, set)
  return became
end

local function promote()
  local due = redis.call('ZRANGEBYSCORE', Q .. 'delayed', '-inf', now, 'LIMIT', 0, MAX_PROMOTED)
  if #due == 0 then return end
  redis.call('ZREM', Q .. 'delayed', unpack(due))
  for _, id in ipairs(due) do
    local header = header_of(id)
    if header then put_ready(id, header.lane, 'RPUSH') end
  end
end

-- One ready id: its envelope and what is remembered of earlier attempts; nil for a tombstone or a job that was cancelled meanwhile.
local function look_at(id)
  local envelope = redis.call('GET', Q .. 'job:' .. id)
  if not envelope then return nil end
  if string.byte(envelope) == 61 then -- '=': cancelled while it waited; its time to live begins now
    counted.tombstones = counted.tombstones - 1
    if set.completedMaxAgeMs == 0 or set.completedMaxCount == 0 then
      forget({ id })
    else
      redis.call('PEXPIRE', Q .. 'job:' .. id, set.completedMaxAgeMs)
      redis.call('PEXPIRE', Q .. 'attempt:' .. id, set.completedMaxAgeMs)
      keep_ended({ id }, set)
    end
    return nil
  end
  if string.byte(envelope, 2) ~= 43 then return { id = id, envelope = envelope, attempt = 1, crashes = 0, flag = '' } end
  local attempts, crashes = unpack(redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes'))
  return { id = id, envelope = envelope, attempt = (attempts or 0) + 1, crashes = tonumber(crashes) or 0, flag = '+' }
end

-- Serves the lane with the lowest virtual time, as many jobs at a time as its weight; the last of several lanes takes the rest.
local function take(wanted)
  local taken, bytes, looked_at = {}, 0, 0
  while #taken < wanted and looked_at < MAX_LOOKED_AT do
    local lowest = redis.call('ZRANGE', Q .. 'lanes', 0, 1, 'WITHSCORES')
    local lane = lowest[1]
    if not lane then break end
    local share = lowest[3] and math.min(WEIGHT[lane], wanted - #taken) or wanted - #taken
    local ids = redis.call('LPOP', Q .. 'ready:' .. lane, share) or {}
    looked_at = looked_at + #ids
    local full = nil
    for n, id in ipairs(ids) do
      local job = look_at(id)
      if job and bytes + #job.envelope > MAX_BYTES and #taken > 0 then
        full = n
        break
      elseif job then
        taken[#taken + 1] = job
        bytes = bytes + #job.envelope
      end
    end
    if full then
      for n = #ids, full, -1 do redis.call('LPUSH', Q .. 'ready:' .. lane, ids[n]) end
      redis.call('ZINCRBY', Q .. 'lanes', (full - 1) / WEIGHT[lane], lane)
      break
    end
    if #ids < share then redis.call('ZREM', Q .. 'lanes', lane) else redis.call('ZINCRBY', Q .. 'lanes', share / WEIGHT[lane], lane) end
    if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. 'lanes', lane) end
  end
  return taken
end

local function hold(taken, answer)
  local token = redis.call('HINCRBY', Q .. 'counts', 'claimed', #taken) - #taken
  local entries = {}
  for _, job in ipairs(taken) do
    token = token + 1
    local token_text = string.format('%d', token)
    entries[#entries + 1] = job.id
    entries[#entries + 1] = token_text .. ':' .. job.attempt .. ':' .. job.crashes .. job.flag
    local at = #answer
    answer[at + 1], answer[at + 2], answer[at + 3], answer[at + 4], answer[at + 5] = job.id, token_text, job.attempt, job.crashes, job.envelope
  end
  redis.call('HSET', held_key, unpack(entries))
  counted.busy = counted.busy + #taken
end

local function may_claim()
  local entry = redis.call('HMGET', Q .. 'worker:' .. me, 'seq', 'podUid')
  if entry[1] ~= seq then return 'stale' end
  if set.suspended or set.paused then return 'closed' end
  local draining = redis.call('ZSCORE', Q .. 'draining', entry[2] or '')
  return draining and tonumber(draining) > now and 'draining' or 'ok'
end

local became = settle()
local answer = { may_claim(), -1, became }
if answer[1] == 'ok' then
  promote()
  if set.maxBusy then
    local busy = tonumber(redis.call('HGET', Q .. 'counts', 'busy') or 0) + counted.busy
    want = math.min(want, set.maxBusy - busy)
  end
  local taken = want > 0 and take(want) or {}
  if #taken > 0 then hold(taken, answer) end
end
for what, by in pairs(counted) do count(what, by) end
answer[2] = next_ms(now)
wake(now, set)
-- This worker may be full now; another one must learn when the next delayed job is due.
if #answer > 3 and answer[2] >= 0 and answer[2] < 5000 then redis.call('ZADD', Q .. 'wake', 0, 'work') end
return answer
