-- Settles attempts that ended, then claims jobs for the slots that are free: one round trip for both.
-- KEYS  the queue
-- ARGV  worker, sequence number, jobs wanted, seed, '<given>' where it may be given jobs while it is idle
--       (idle.lua): how many it was given, and
--       '+' behind it where it stands in `idle`, else ''; then per attempt four: id, token, verdict, text
--       verdict: completed ('<enqueued ms> <task> <facts>\n<result>'), with-jobs (follow-ups.lua), failed and terminal (the
--       record as JSON), rests (rest.lua), cancelled, handed-back (why no attempt began, or '')
-- returns  status, ms until the next delayed job or -1, 1 where it stands in `idle` now, what became of each
--          settled (not where it is dead), per claim three: id, its entry in held:<worker>, envelope; in one
--          list, because Redis takes as long for a list in it as for a command
--          status: ok, dead, stale (old sequence number), draining, closed (suspended or paused)
-- Safe to run twice: what was settled is no longer held under its token ('not-yours'), and a claim whose
-- answer was lost is found by resync.
local MAX_PROMOTED, SOON_MS = 100, 5000
local args = ARGV -- a global is looked up by its name each time
local me, want, given = args[1], tonumber(args[3]), args[5]
local seq, pod_uid, was_given = unpack(redis.call('HMGET', Q .. 'worker:' .. me, 'seq', 'podUid', 'given'))
if not seq then return { 'dead', -1, 0 } end -- idle.lua, take_for_dead

-- The held entries under the tokens of the call, by their place in it. They leave held, whatever the verdict.
local function take_back(ids)
  local entries, mine, flagged = {}, {}, nil
  for first = 1, #ids, SLICE do
    local values = redis.call('HMGET', Q .. 'held:' .. me, slice(ids, first))
    for i = 1, #values do
      local n = first + i - 1
      local held = values[i] and parse_held(values[i], args[3 + 4 * n])
      if held then
        entries[n], mine[#mine + 1] = held, ids[n]
        if held.flags > 0 and held.flags ~= FLOW then
          flagged = flagged or {}
          flagged[ids[n]] = held
        end
      end
    end
  end
  if leave_held(me, mine, flagged) < #mine then -- an id stands twice in this call: the second is refused
    local is_named = {}
    for n, id in ipairs(ids) do
      entries[n] = not is_named[id] and entries[n]
      is_named[id] = is_named[id] or entries[n]
    end
  end
  return entries
end

local function settle_one(id, held, verdict, text)
  if verdict == 'completed' then
    local enqueued, rest = string.match(text, '^(%d+) (.*)')
    ended(id, 'completed', held.flags, write_outcome('c', held, enqueued, rest))
    return 'completed'
  end
  if verdict == 'handed-back' then return seldom().hand_back(id, held, text) end
  if verdict == 'rests' then return seldom().rest(id, held, text, me) end
  if verdict == 'with-jobs' then return flows().completed_with_jobs(id, held, text) end
  if verdict == 'cancelled' then return seldom().cancelled_held(id, held) end
  math.randomseed(tonumber(args[4]))
  return seldom().try_again(id, held, { record = text, terminal = verdict == 'terminal', worker = me })
end

local ids, answer = {}, { 'ok', -1, 0 }
for i = 6, #args, 4 do ids[#ids + 1] = args[i] end
local entries = take_back(ids)
for n = 1, #ids do
  local held = entries[n]
  answer[3 + n] = held and settle_one(ids[n], held, args[4 + 4 * n], args[5 + 4 * n]) or 'not-yours'
end
keep_outcomes()
if open_flows then flows().close_flows() end

local drains_until = redis.call('ZSCORE', Q .. 'draining', pod_uid or '')
local status = seq ~= args[2] and 'stale' or (set.suspended == 1 or set.paused == 1) and 'closed'
  or drains_until and tonumber(drains_until) > now and 'draining' or 'ok'
-- Jobs that it was given and has not heard of yet take slots for which it asks.
if was_given and given ~= '' then want = want - (was_given - string.match(given, '%d+')) end
local due_in, claimed = next_ms(), 0
if status == 'ok' then
  if due_in == 0 then
    seldom().promote(MAX_PROMOTED)
    due_in = next_ms()
  end
  if set.maxBusy then want = math.min(want, set.maxBusy - count_of('busy') - counted.busy) end
  if set.limits then want = limited().room_in('*', want) end
  if want > 0 then claimed = take(want, answer, 3 + #ids) end
  if claimed > 0 then hold(me, answer, 3 + #ids, claimed) end
  if set.limits then
    if claimed > 0 then limited().started(claimed) end
    if limited().park_full() then due_in = next_ms() end
  end
end
answer[1], answer[2] = status, due_in
if expired then seldom().expire_met() end
if given ~= '' then
  if status == 'ok' and want > claimed then
    seldom().be_idle_with(me, want - claimed)
    answer[3] = 1
  elseif string.sub(given, -1) == '+' then
    seldom().be_idle_no_more(me)
  end
end
-- This worker may be full now; another one must learn when the next delayed job is due.
wake(claimed > 0 and due_in >= 0 and due_in < SOON_MS, due_in)
if set.watchedUntilMs then seldom().tell_exchange(args, ids, answer, claimed) end
if told then flows().write_events(me) end
return answer
