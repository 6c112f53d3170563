-- Settles attempts that ended, then claims jobs for the slots that are free: one round trip for both.
-- KEYS  the queue
-- ARGV  worker, sequence number, jobs wanted, seed, '<given>' where it may be given jobs while it is idle (idle.lua): how many it was given, and
--       '+' behind it where it stands in `idle`, else '', then per attempt four: id, token, verdict (completed, failed, terminal, cancelled,
--       handed-back), text (completed: '<enqueued ms> <task> <facts>\n<result>'; failed, terminal: the record as JSON)
-- returns  {status, ms until the next delayed job or -1, what became of each settled, per claim three: id, its entry in
--          held:<worker>, envelope; 1 where it stands in `idle` now}
--          status: ok, dead, stale (old sequence number), draining, closed (suspended or paused)
-- Safe to run twice: what was settled is no longer held under its token ('not-yours'), and a claim whose answer was lost is
-- found by resync.
local MAX_PROMOTED, SOON_MS = 100, 5000
local args = ARGV -- a global is looked up by its name each time
local me, seq, want, given = args[1], args[2], tonumber(args[3]), args[5]
if tonumber(redis.call('ZSCORE', Q .. 'workers', me) or 0) == 0 then return { 'dead', -1, {}, {}, 0 } end
math.randomseed(tonumber(args[4]))

-- The entries of those that the worker holds under the token that it names, by their place in the call.
local function entries_of(ids)
  local entries, mine = {}, {}
  for first = 1, #ids, SLICE do
    local values = redis.call('HMGET', Q .. 'held:' .. me, slice(ids, first))
    for i = 1, #values do
      local n = first + i - 1
      local held = values[i] and parse_held(values[i])
      if held and held.token == args[3 + 4 * n] then
        entries[n] = held
        mine[#mine + 1] = ids[n]
      end
    end
  end
  return entries, mine
end

local function settle_one(id, held, verdict, text)
  if verdict == 'completed' then
    local enqueued, rest = string.match(text, '^(%d+) (.*)')
    ended(id, 'completed', held.flags, write_outcome('c', held, enqueued, rest))
    return 'completed'
  end
  if verdict == 'handed-back' then return seldom().hand_back(id, held) end
  if verdict == 'cancelled' then return seldom().cancelled_held(id, held) end
  return seldom().try_again(id, held, { record = text, terminal = verdict == 'terminal' })
end

local function settle()
  local ids, became = {}, {}
  for i = 6, #args, 4 do ids[#ids + 1] = args[i] end
  if #ids == 0 then return became end
  local entries, mine = entries_of(ids)
  if leave_held(me, mine) < #mine then -- an id stands twice in this call: the second is refused
    local is_named = {}
    for n, id in ipairs(ids) do
      entries[n] = not is_named[id] and entries[n]
      is_named[id] = is_named[id] or entries[n]
    end
  end
  for n = 1, #ids do
    local held = entries[n]
    became[n] = held and settle_one(ids[n], held, args[4 + 4 * n], args[5 + 4 * n]) or 'not-yours'
  end
  keep_outcomes()
  return became
end

local function may_claim()
  local entry = redis.call('HMGET', Q .. 'worker:' .. me, 'seq', 'podUid', 'given')
  if entry[1] ~= seq then return 'stale' end
  -- Jobs that it was given and has not heard of yet take slots for which it asks.
  if entry[3] and given ~= '' then want = want - (entry[3] - string.match(given, '%d+')) end
  if set.suspended == 1 or set.paused == 1 then return 'closed' end
  local draining = redis.call('ZSCORE', Q .. 'draining', entry[2] or '')
  return draining and tonumber(draining) > now and 'draining' or 'ok'
end

local became = settle()
local status, due_in, taken, claimed = may_claim(), next_ms(), {}, 0
if status == 'ok' then
  if due_in == 0 then
    seldom().promote(MAX_PROMOTED)
    due_in = next_ms()
  end
  if set.maxBusy then want = math.min(want, set.maxBusy - count_of('busy') - counted.busy) end
  if want > 0 then taken, claimed = take(want) end
  if claimed > 0 then hold(me, taken, claimed) end
end
local is_idle = 0
if given ~= '' then
  if status == 'ok' and want > claimed then
    seldom().be_idle_with(me, want - claimed)
    is_idle = 1
  elseif string.sub(given, -1) == '+' then
    seldom().be_idle_no_more(me)
  end
end
-- This worker may be full now; another one must learn when the next delayed job is due.
wake(claimed > 0 and due_in >= 0 and due_in < SOON_MS, due_in)
return { status, due_in, became, taken, is_idle }
