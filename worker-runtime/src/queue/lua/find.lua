-- A slice of the jobs in one place, for find.ts, which judges them: next first where they wait, else newest
-- first. A slice begins behind a job, wherever that one is by now: nothing is shown twice or left out
-- because others came or went meanwhile.
-- KEYS  the queue
-- ARGV  how many jobs at most, place: ready, held, delayed, buried, ended, failed:<group>, worker:<worker>, tag:<tag>,
--       id:<id>,<id>..., why:<id>,<id>... (their last failures); position, '' for the beginning; then
--       texts that are looked for
-- returns  {position behind the slice, '' at the end; how many jobs the place has; how many were looked at;
--          per job a list: its position, id, state, line (the first of its envelope or outcome), at (ms: when it is
--          due, or was buried), worker, its entry there, attempts, error (its fingerprint), a 0 or 1 for each text;
--          or {id, last failure}}
-- Reads only; O(slice · log n), but O(workers) where jobs may be held, and O(position) in a list.
local MAX_BYTES, PAGE = 2097152, 250
local most, place, position = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local found, looked_at, bytes, behind, size = {}, 0, 0, '', 0
local kind, name = string.match(place, '^(%a+):?(.*)$')

local function is_full() return looked_at >= most or bytes >= MAX_BYTES end

local function hits_of(id, line)
  if #ARGV == 3 then return line or string.match(redis.call('GETRANGE', Q .. 'job:' .. id, '0', MAX_HEADER), '^[^\n]*'), '' end
  local text, hits = redis.call('GET', Q .. 'job:' .. id) or '', {}
  bytes = bytes + #text
  local header = #(string.match(text, '^[^\n]*'))
  for n = 4, #ARGV do hits[n - 3] = string.find(text, ARGV[n], header + 1, true) and '1' or '0' end
  return string.sub(text, 1, math.min(header, MAX_HEADER)), table.concat(hits)
end

local function add(at_position, id, state, job)
  looked_at, behind = looked_at + 1, at_position
  local line, hits = hits_of(id, job.line)
  local start = string.byte(line)
  -- Neither an envelope nor an outcome where there should be one: a tombstone, or it ran out.
  if not start or not job.line and start ~= (state == 'ended' and 61 or 50) then return end
  local known = {}
  if start == 50 and has_flag(flags_of(string.sub(line, 2, 2)), REMEMBERED) then
    known = redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'group')
  end
  found[#found + 1] = { at_position, id, state, line, job.at or '', job.worker or '', job.entry or '', known[1] or '0',
    known[2] or '', hits }
end

-- By bytes, as Redis orders members of the same score.
local function is_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- How many members are not behind this one: a search in those of its score, so that it need not be there any
-- more.
local function rank_behind(key, score, id, order)
  local is_reverse = order == 'ZREVRANGE'
  local low = is_reverse and redis.call('ZCOUNT', key, '(' .. score, '+inf') or redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local member = redis.call(order, key, middle, middle)[1]
    local is_behind
    if is_reverse then is_behind = is_before(member, id) else is_behind = is_before(id, member) end
    if is_behind then high = middle else low = middle + 1 end
  end
  return low
end

-- A sorted set; a position is `<score> <id>`.
local function walk_set(key, order, state)
  size = redis.call('ZCARD', key)
  if most == 0 then return end
  local score, last = string.match(position, '^(%S+) (%S*)$')
  local from = score and rank_behind(key, score, last, order) or 0
  local page = redis.call(order, key, from, from + most - 1, 'WITHSCORES')
  local ids = {}
  for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
  local states = not state and states_of(ids)
  for i = 1, #page, 2 do
    if is_full() then return end
    local id, at = page[i], page[i + 1]
    local job = states and states[id] or { at = at }
    add(at .. ' ' .. id, id, state or job.state, job)
  end
  if #page < 2 * most then behind = '' end
end

-- The index behind this entry of a list, which was at `index`. Where it has gone the list of a lane begins anew:
-- ids leave it at its head. Other lists lose ids at their end.
local function index_behind(key, index, id, is_lane)
  if redis.call('LINDEX', key, index) == id then return index + 1 end
  -- A job that is handed back comes to the head of its lane.
  if is_lane then return (redis.call('LPOS', key, id, 'MAXLEN', index + PAGE) or -1) + 1 end
  for _, at in ipairs(redis.call('LPOS', key, id, 'COUNT', '0', 'MAXLEN', '1000000')) do
    if at >= index then return at + 1 end
  end
  return redis.call('LLEN', key)
end

-- Whether this entry of `completed` has the outcome of its id. The list has an id twice where its first outcome
-- was deleted or ran out, and the id was used anew: then the one nearer to the head has it, and the other one
-- seems to have ended later than what stands before it. Only such an entry is looked for, and the first one of a
-- page. Two ends in one millisecond are told apart on one page alone.
local before, is_shown = nil, {}
local function has_outcome(key, index, id)
  local ended_at = tonumber(string.match(redis.call('GETRANGE', Q .. 'job:' .. id, '0', '20'), '^=%a (%x+)') or '', 16)
  if not ended_at then return false end
  local is_suspect = before and ended_at > before or not before and index > 0
  if is_shown[id] or is_suspect and redis.call('LPOS', key, id) < index then return false end
  before, is_shown[id] = ended_at, true
  return true
end

-- A list; a position is `<lane> <index> <id>`, of a lane of a key with its virtual time behind it, or `- <index> <id>`.
local function walk_list(key, lane, from, state, time)
  while not is_full() do
    local ids = redis.call('LRANGE', key, from, from + math.min(PAGE, most - looked_at) - 1)
    for n, id in ipairs(ids) do
      if is_full() then return end
      local at = string.format('%s %d %s%s', lane, from + n - 1, id, time and ' ' .. time or '')
      if state ~= 'ended' or has_outcome(key, from + n - 1, id) then
        add(at, id, state, {})
      else
        looked_at, behind = looked_at + 1, at
      end
    end
    from = from + #ids
    if #ids == 0 then
      behind = ''
      return
    end
  end
end

-- The first lanes of keys behind this one, whether a limit holds them back or not: those that claims would serve
-- first. As many as a slice can have, and the four of no key.
local function lanes_behind(lane, time)
  local found = {}
  for _, where in ipairs({ 'lanes', 'blocked' }) do
    local from = time and rank_behind(Q .. where, time, lane, 'ZRANGE') or 0
    local page = redis.call('ZRANGE', Q .. where, from, from + most + 3, 'WITHSCORES')
    for i = 1, #page, 2 do
      if not WEIGHT[page[i]] then found[#found + 1] = { page[i], page[i + 1] } end
    end
  end
  table.sort(found, function(a, b)
    local by = tonumber(a[2]) - tonumber(b[2])
    return by < 0 or by == 0 and is_before(a[1], b[1])
  end)
  return found
end

-- Jobs without a key by their priority, the most urgent first; then lanes of keys by their virtual times. These only
-- grow while a lane has jobs: no lane is left out, and one that is served meanwhile may come again.
local function walk_lanes()
  size = math.max(0, count_of('ready'))
  local last_lane, index, id, last_time = string.match(position, '^(%S+) (%d+) (%S+) ?(%S*)$')
  local is_behind = not last_lane
  local time_of_last = last_lane and not WEIGHT[last_lane] and (last_time ~= '' and last_time or '0')
  local function walk(lane, time)
    local from, before = 0, looked_at
    if lane == last_lane then from = index_behind(Q .. 'ready:' .. lane, tonumber(index), id, true) end
    walk_list(Q .. 'ready:' .. lane, lane, from, 'ready', time)
    -- An empty one counts as a job: there may be very many, and a slice has an end.
    if time and looked_at == before and lane ~= last_lane then looked_at, behind = looked_at + 1, lane .. ' 0 - ' .. time end
  end
  for _, lane in ipairs({ 'urgent', 'high', 'normal', 'low' }) do
    is_behind = is_behind or lane == last_lane
    if is_behind and not is_full() then walk(lane) end
  end
  if time_of_last and not is_full() then walk(last_lane, time_of_last) end
  for _, lane in ipairs(is_full() and {} or lanes_behind(last_lane, time_of_last)) do
    if is_full() then return end
    if lane[1] ~= last_lane then walk(lane[1], lane[2]) end
  end
  if not is_full() then behind = '' end
end

-- Workers and what each holds, by name; a position is `<worker> <id>`.
local function walk_held(workers)
  local last_worker, last = string.match(position, '^(%S+) (%S+)$')
  table.sort(workers)
  for _, worker in ipairs(workers) do
    local held = (not last_worker or worker >= last_worker) and redis.call('HGETALL', Q .. 'held:' .. worker) or {}
    local entry_of, ids = {}, {}
    for i = 1, #held, 2 do entry_of[held[i]], ids[#ids + 1] = held[i + 1], held[i] end
    table.sort(ids)
    for _, id in ipairs(ids) do
      if is_full() then return end
      if worker ~= last_worker or id > last then add(worker .. ' ' .. id, id, 'held', { worker = worker, entry = entry_of[id] }) end
    end
  end
  behind = ''
end

local function walk_ids()
  local ids, from = {}, tonumber(position) or 0
  for id in string.gmatch(name, '[^,]+') do ids[#ids + 1] = id end
  size = #ids
  local states = states_of(ids)
  for n = from + 1, #ids do
    if is_full() then return end
    local job = states[ids[n]]
    behind = string.format('%d', n)
    if job.state == 'unknown' then looked_at = looked_at + 1 else add(behind, ids[n], job.state, job) end
  end
  behind = ''
end

local function add_failures()
  for id in string.gmatch(name, '[^,]+') do
    looked_at = looked_at + 1
    found[looked_at] = { id, last_failure(id) }
  end
end

if kind == 'ready' then
  walk_lanes()
elseif kind == 'held' then
  size = math.max(0, count_of('busy'))
  walk_held(redis.call('ZRANGE', Q .. 'workers', '0', '-1'))
elseif kind == 'worker' then
  size = redis.call('HLEN', Q .. 'held:' .. name)
  walk_held({ name })
elseif kind == 'delayed' then
  walk_set(Q .. 'delayed', 'ZRANGE', 'delayed')
elseif kind == 'buried' then
  walk_set(Q .. 'buried', 'ZREVRANGE', 'buried')
elseif kind == 'failed' then
  walk_set(Q .. 'failed:' .. name, 'ZREVRANGE', 'buried')
elseif kind == 'tag' then
  walk_set(Q .. 'tag:' .. name, 'ZREVRANGE')
elseif kind == 'ended' then
  local index, id = string.match(position, '^%- (%d+) (%S+)$')
  size = redis.call('LLEN', Q .. 'completed')
  walk_list(Q .. 'completed', '-', index and index_behind(Q .. 'completed', tonumber(index), id) or 0, 'ended')
elseif kind == 'why' then
  add_failures()
else
  walk_ids()
end
return { behind, size, looked_at, unpack(found) }
