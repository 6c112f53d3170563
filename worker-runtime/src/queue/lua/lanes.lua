-- Lanes: where ready jobs wait. A lane is named <priority> or <priority>/<key>; its list has ids, next first,
-- and `lanes` has the lanes that have a list, by virtual time: a claim serves the lowest, and adds what it
-- took divided by the weight of the priority. So jobs of several keys are served in turn, whatever their
-- numbers. A lane that ran empty stays until its virtual time is the lowest: one that is filled anew begins
-- with what it was served before, and overtakes nobody. Lanes of a parked key are elsewhere (limits.lua).
-- Virtual times are whole numbers, which Redis prints faster: a job of the weight 1 takes A_JOB.
local A_JOB, AHEAD = 8000, 8
local WEIGHT = { urgent = 8, high = 4, normal = 2, low = 1 }
local BY_LETTER = { [117] = 8, [104] = 4, [110] = 2, [108] = 1 } -- u, h, n, l
local function weight_of(lane) return BY_LETTER[string.byte(lane)] or 1 end

-- A lane that gets work again starts level with the lowest one, or where it was when it left: it has no
-- credit from the time when it was empty. Of lanes that are level the more urgent one comes first.
local function open_lanes(from)
  local lowest, opened = redis.call('ZRANGE', Q .. 'lanes', '0', '0', 'WITHSCORES'), {}
  local level = lowest[1] and lowest[2] - AHEAD / weight_of(lowest[1]) or 0
  for lane, at in pairs(from) do
    opened[#opened + 1], opened[#opened + 2] = string.format('%d', math.max(at, level + AHEAD / weight_of(lane))), lane
  end
  for first = 1, #opened, SLICE do redis.call('ZADD', Q .. 'lanes', 'NX', slice(opened, first)) end
end
local function open_lane(lane) open_lanes({ [lane] = 0 }) end

local function close_if_empty(lane)
  if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. 'lanes', lane) end
end

-- A ready id of this lane: its envelope, and of its entry when it is held what comes behind the token; nil
-- for a tombstone.
local function look_at(id, lane, keyed)
  local envelope = redis.call('GET', Q .. 'job:' .. id)
  local kind, flags = string.byte(envelope or '=', 1, 2)
  if kind == 61 then -- '='
    -- One that is no tombstone was counted; another program has deleted its envelope.
    if not seldom().drop_tombstone(id, lane) then count('ready', -1) end
    return nil
  end
  if flags == 50 and kind == 50 then return envelope, keyed end -- KEYED alone, its first attempt
  if flags == 48 or kind ~= 50 or flags > 111 then return envelope, '1:0' end -- no flag; or no envelope: the worker says so
  if (flags - 48) % 32 >= 16 and seldom().is_met_too_late(id, envelope) then return nil end -- EXPIRES
  if flags % 2 == 0 then return envelope, '1:0:' .. string.char(flags) .. ':' .. lane end
  local tries = redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes') -- REMEMBERED
  return envelope, seldom().tries_of((tries[1] or 0) + 1, tries[2] or 0, flags - 48, lane)
end

-- take: as many jobs at a time of the lane with the lowest virtual time as its weight says; the last of
-- several lanes takes the rest, and its time stands still: whoever comes begins level with it. Puts three for
-- each job behind the first `from` of a list: id, its entry without the token, envelope; answers how many
-- jobs.
--
-- The lanes that are next are asked for at once, a turn for each wanted job, and what changed of them is
-- written at once (turns.lua).
local MAX_BYTES, MAX_LOOKED_AT, MOST_TURNS = 4194304, 4000, 100

-- Looks at ids that have left a lane, and adds three for each job to `taken`. Answers how many jobs and bytes it
-- has then, and how many ids were looked at: where it would have too many bytes, the others are in their lane again.
local function look_at_all(ids, lane, taken, from, jobs, bytes)
  local keyed = '1:0:2:' .. lane
  for n = 1, #ids do
    local envelope, tries = look_at(ids[n], lane, keyed)
    if envelope and bytes + #envelope > MAX_BYTES and jobs > 0 then
      for back = #ids, n, -1 do redis.call('LPUSH', Q .. 'ready:' .. lane, ids[back]) end
      return jobs, bytes, n - 1
    elseif envelope then
      local at = from + 3 * jobs
      taken[at + 1], taken[at + 2], taken[at + 3] = ids[n], tries, envelope
      jobs, bytes = jobs + 1, bytes + #envelope
    end
  end
  return jobs, bytes, #ids
end

local function write_lanes(gone)
  if set.limits then limited().park_full() end
  if moved then keyed().write_turns(gone) end
end

local function take(wanted, taken, from)
  local jobs, bytes, looked_at, turns, at, are_all, gone = 0, 0, 0, {}, 1, false, {}
  while jobs < wanted and looked_at < MAX_LOOKED_AT do
    if not turns[at] then
      write_lanes(gone)
      local most = math.min(wanted - jobs, MOST_TURNS)
      if jobs == 0 then most = math.ceil(most / 2) end -- a turn is two jobs where the priority is normal
      turns, at, gone = redis.call('ZRANGE', Q .. 'lanes', '0', most == 1 and '1' or string.format('%d', most), 'WITHSCORES'), 1, {}
      are_all = #turns <= 2 * most
      if #turns == 0 then break end
    end
    local lane, time, before = turns[at], turns[at + 1], jobs
    at = at + 2
    local is_last, share = are_all and not turns[at], wanted - jobs
    local weight = is_last and share or keyed().weight_of(lane)
    if weight < share then share = weight end
    local list, key = Q .. 'ready:' .. lane, nil
    if set.limits then share, key = limited().room_in_lane(lane, share) end -- 0: it leaves `lanes`
    local ids, served = share > 0 and redis.call('LPOP', list, share < 3 and (share == 1 and '1' or '2') or share) or {}, nil
    jobs, bytes, served = look_at_all(ids, lane, taken, from, jobs, bytes)
    looked_at = looked_at + 1 + #ids
    local is_full = served < #ids
    local left = not is_full and #ids < share and 0 or redis.call('LLEN', list)
    local is_empty = left == 0
    moved = moved or not is_last and {} or nil
    if is_last and is_empty then
      redis.call('ZREM', Q .. 'lanes', lane)
      if moved then moved[lane] = nil end
    elseif not is_last and (share > 0 or is_empty) then
      time = time + served * A_JOB / weight
      local may_go = is_empty and turns[at] and time - turns[at + 1] <= 0
      moved[lane] = not may_go and time or nil
      if may_go then gone[#gone + 1] = lane end
    end
    local may_come_back = not key or limited().served(key, lane, jobs - before, left)
    if is_full or is_last and is_empty then break end
    -- An empty one has its turn in a later call.
    if may_come_back and moved and moved[lane] and not is_last and not is_empty then keyed().come_back(turns, at, lane, time, are_all) end
  end
  write_lanes(gone)
  counted.ready = counted.ready - jobs
  return jobs
end
