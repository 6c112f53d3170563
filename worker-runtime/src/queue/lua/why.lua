-- The facts about one job and its queue from which why.ts says why the job does not run.
-- KEYS  the queue
-- ARGV  id
-- returns  name and value in turn: state, line (the first of its envelope or outcome), now, at (ms: when it is due,
--       or was buried), worker that holds it, its entry there, attempts, crashes, cancel, rests (how often its task asked for one), restsUntilMs, escalated (the queue where it goes on), readyMs (since when it is
--       ready), place (how many are before it in its lane; -1 where more than MAX_BEFORE), failure (the last
--       one, without stack and output), maxAttempts, maxCrashes, suspended, paused, maxBusy, busy, renewedMs (when a worker
--       last renewed), alive, looked (of these so many were looked at: slots, held, draining)
-- Reads only; O(1), but O(workers) for a job that is ready or held, and up to MAX_BEFORE entries of its lane.
local MAX_BEFORE, MAX_WORKERS = 10000, 100
local id = ARGV[1]
local state = state_of(id)
if state == 'unknown' then return { 'state', state } end
local answer = { 'state', state, 'now', now }
local function add(name, value)
  if value then answer[#answer + 1], answer[#answer + 2] = name, value end
end

local header = header_of(id)
add('line', string.match(redis.call('GETRANGE', Q .. 'job:' .. id, '0', MAX_HEADER), '^[^\n]*'))
local attempts, crashes, cancel, rests, rests_until, escalated = unpack(redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes', 'cancel', 'rests', 'restsUntilMs', 'escalated'))
add('attempts', attempts)
add('crashes', crashes)
add('cancel', cancel)
add('rests', rests)
add('restsUntilMs', rests_until)
add('escalated', escalated)
add('failure', last_failure(id))
if state == 'delayed' or state == 'buried' then add('at', redis.call('ZSCORE', Q .. state, id)) end
if state == 'held' then
  local worker, entry = holder_of(id)
  add('worker', worker)
  add('entry', entry)
end
if header then
  add('maxAttempts', field(header, 'a') or rule('maxAttempts'))
  add('maxCrashes', field(header, 'c') or rule('maxCrashes'))
end
if state == 'ready' and header then
  add('readyMs', ready_since(id, header))
  add('place', redis.call('LPOS', Q .. 'ready:' .. header.lane, id, 'MAXLEN', MAX_BEFORE) or -1)
end

add('suspended', set.suspended)
add('paused', set.paused)
add('maxBusy', set.maxBusy)
add('busy', math.max(0, count_of('busy')))
add('renewedMs', string.match(redis.call('GET', Q .. 'tick') or '', '^%d+'))
add('alive', redis.call('ZCOUNT', Q .. 'workers', now, '+inf'))
local slots, held, draining = 0, 0, 0
local looked_at = redis.call('ZREVRANGEBYSCORE', Q .. 'workers', '+inf', now, 'LIMIT', '0', MAX_WORKERS)
for _, worker in ipairs(looked_at) do
  local own, pod_uid = unpack(redis.call('HMGET', Q .. 'worker:' .. worker, 'slots', 'podUid'))
  if tonumber(redis.call('ZSCORE', Q .. 'draining', pod_uid or '') or 0) > now then
    draining = draining + 1
  else
    slots = slots + (tonumber(own) or 0)
    held = held + redis.call('HLEN', Q .. 'held:' .. worker)
  end
end
add('looked', #looked_at)
add('slots', slots)
add('held', held)
add('draining', draining)
return answer
