-- Settles attempts that ended, then claims jobs for the slots that are free: one round trip for both.
-- KEYS  the queue
-- ARGV  worker, sequence number, jobs wanted, seed, then per attempt four: id, token, verdict (completed, failed, terminal,
--       cancelled, handed-back), text (completed: '<enqueued ms> <task> <facts>\n<result>'; failed, terminal: the record as JSON)
-- returns  {status, ms until the next delayed job or -1, what became of each settled, per claim three: id, its entry in
--          held:<worker>, envelope}
--          status: ok, dead, stale (old sequence number), draining, closed (suspended or paused)
-- Safe to run twice: what was settled is no longer held under its token ('not-yours'), and a claim whose answer was lost is
-- found by resync.
local MAX_BYTES, MAX_PROMOTED, MAX_LOOKED_AT = 4 * 1024 * 1024, 100, 2000
local me, seq, want = ARGV[1], ARGV[2], tonumber(ARGV[3])
local set = settings('completedMaxAgeMs', 'completedMaxCount', 'maxBusy', 'suspended', 'paused', 'layout')
local newer = newer_layout(set.layout)
if newer then return newer end
even_when_full()
if tonumber(redis.call('ZSCORE', Q .. 'workers', me) or 0) == 0 then return { 'dead', -1, {}, {} } end
math.randomseed(tonumber(ARGV[4]))
local now = now_ms()
local all_set -- the rest of the settings, when an attempt has failed
local held_key = Q .. 'held:' .. me
local counted = { busy = 0, completed = 0, claimed = 0 }

local function settle()
  local ids = {}
  for i = 5, #ARGV, 4 do ids[#ids + 1] = ARGV[i] end
  if #ids == 0 then return {} end
  local became, mine, entries, ended = {}, {}, {}, {}
  for first = 1, #ids, SLICE do
    local values = redis.call('HMGET', held_key, slice(ids, first))
    for i = 1, #values do
      local n = first + i - 1
      local held = values[i] and parse_held(values[i])
      if held and held.token == ARGV[2 + 4 * n] then
        mine[#mine + 1] = ids[n]
        entries[n] = held
      else
        became[n] = 'not-yours'
      end
    end
  end
  -- What frees memory comes first: a full Redis then still lets jobs end.
  local let_go = 0
  for first = 1, #mine, SLICE do let_go = let_go + redis.call('HDEL', held_key, slice(mine, first)) end
  if let_go < #mine then -- an id stands twice in this call
    local is_named = {}
    for n, id in ipairs(ids) do
      if is_named[id] then became[n] = 'not-yours' end
      is_named[id] = is_named[id] or entries[n]
    end
  end
  for n = 1, #ids do
    local id, verdict, text, held = ids[n], ARGV[3 + 4 * n], ARGV[4 + 4 * n], entries[n]
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
      all_set = all_set or settings()
      became[n] = try_again(id, held, text, false, verdict == 'terminal', now, all_set)
    end
  end
  counted.busy = counted.busy - let_go
  keep_ended(ended, set)
  return became
end

local function promote()
  local due = redis.call('ZRANGEBYSCORE', Q .. 'delayed', '-inf', now, 'LIMIT', 0, MAX_PROMOTED)
  for first = 1, #due, SLICE do redis.call('ZREM', Q .. 'delayed', slice(due, first)) end
  for _, id in ipairs(due) do
    local header = header_of(id)
    if header then put_ready(id, header.lane, 'RPUSH') end
  end
end

-- One ready id: its envelope and, as an entry of held:<worker> has it, <attempt>:<crashes>; nil for a tombstone.
local function look_at(id)
  local envelope = redis.call('GET', Q .. 'job:' .. id)
  if not envelope or string.byte(envelope) == 61 then -- '='
    if redis.call('HDEL', Q .. 'tombstones', id) == 1 or not envelope then return nil end
    -- The release before this one only counted them, and gave their outcomes no time to live.
    count('tombstones', -1)
    if redis.call('PTTL', Q .. 'job:' .. id) < 0 and finish(id, envelope, true, set) then keep_ended({ id }, set) end
    return nil
  end
  if string.byte(envelope, 2) ~= 43 then return envelope, '1:0' end
  local attempts, crashes = unpack(redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes'))
  return envelope, (attempts or 0) + 1 .. ':' .. (crashes or 0) .. '+'
end

-- Serves the lane with the lowest virtual time, as many jobs at a time as its weight; the last of several lanes takes the rest.
-- Answers three for each job: id, <attempt>:<crashes>, envelope.
local function take(wanted)
  local taken, jobs, bytes, looked_at = {}, 0, 0, 0
  while jobs < wanted and looked_at < MAX_LOOKED_AT do
    local lowest = redis.call('ZRANGE', Q .. 'lanes', 0, 1, 'WITHSCORES')
    local lane = lowest[1]
    if not lane then break end
    local share = lowest[3] and math.min(WEIGHT[lane], wanted - jobs) or wanted - jobs
    local ids = redis.call('LPOP', Q .. 'ready:' .. lane, share) or {}
    looked_at = looked_at + #ids
    local full = nil
    for n = 1, #ids do
      local id = ids[n]
      local envelope, tries = look_at(id)
      if envelope and bytes + #envelope > MAX_BYTES and jobs > 0 then
        full = n
        break
      elseif envelope then
        local at = 3 * jobs
        taken[at + 1], taken[at + 2], taken[at + 3] = id, tries, envelope
        jobs = jobs + 1
        bytes = bytes + #envelope
      end
    end
    if full then
      for n = #ids, full, -1 do redis.call('LPUSH', Q .. 'ready:' .. lane, ids[n]) end
      redis.call('ZINCRBY', Q .. 'lanes', (full - 1) / WEIGHT[lane], lane)
      break
    end
    if #ids < share or redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then
      redis.call('ZREM', Q .. 'lanes', lane)
    else
      redis.call('ZINCRBY', Q .. 'lanes', share / WEIGHT[lane], lane)
    end
  end
  return taken, jobs
end

-- What was taken is held from now on, under tokens of its own; what was <attempt>:<crashes> becomes the whole entry.
local function hold(taken, jobs)
  local token = redis.call('HINCRBY', Q .. 'counts', 'claimed', jobs) - jobs
  local entries = {}
  for n = 1, jobs do
    local at, i = 3 * n - 2, 2 * n
    local entry = string.format('%d:%s', token + n, taken[at + 1])
    taken[at + 1] = entry
    entries[i - 1], entries[i] = taken[at], entry
  end
  for first = 1, #entries, SLICE do redis.call('HSET', held_key, slice(entries, first)) end
  counted.busy = counted.busy + jobs
end

local function may_claim()
  local entry = redis.call('HMGET', Q .. 'worker:' .. me, 'seq', 'podUid')
  if entry[1] ~= seq then return 'stale' end
  if set.suspended or set.paused then return 'closed' end
  local draining = redis.call('ZSCORE', Q .. 'draining', entry[2] or '')
  return draining and tonumber(draining) > now and 'draining' or 'ok'
end

local became = settle()
local status, due_in, taken, claimed = may_claim(), next_ms(now), {}, 0
if status == 'ok' then
  if due_in == 0 then
    promote()
    due_in = next_ms(now)
  end
  if set.maxBusy then
    local busy = tonumber(redis.call('HGET', Q .. 'counts', 'busy') or 0) + counted.busy
    want = math.min(want, set.maxBusy - busy)
  end
  if want > 0 then taken, claimed = take(want) end
  if claimed > 0 then hold(taken, claimed) end
end
for what, by in pairs(counted) do count(what, by) end
wake(now, set, due_in == 0)
-- This worker may be full now; another one must learn when the next delayed job is due.
if claimed > 0 and due_in >= 0 and due_in < 5000 then redis.call('ZADD', Q .. 'wake', 0, 'work') end
return { status, due_in, became, taken }
