-- Lanes: where ready jobs wait. A lane is named <priority> or <priority>/<key>; its list has ids, next first,
-- and `lanes` has the lanes that have a list, by virtual time: a claim serves the lowest, and adds what it
-- took divided by the weight of the priority. So jobs of several keys are served in turn, whatever their
-- numbers. A lane that ran empty stays until its virtual time is the lowest: one that is filled anew begins
-- with what it was served before, and overtakes nobody. Lanes of a key at its limit are elsewhere (limits.lua).
local WEIGHT = { urgent = 8, high = 4, normal = 2, low = 1 }
local function weight_of(lane) return WEIGHT[lane] or WEIGHT[string.match(lane, '^%a+')] or 1 end

-- A lane that gets work again starts level with the lowest one, or where it was when it left: it has no
-- credit from the time when it was empty. Of lanes that are level the more urgent one comes first.
local function open_lane(lane, from)
  local lowest = redis.call('ZRANGE', Q .. 'lanes', '0', '0', 'WITHSCORES')
  local level = lowest[1] and lowest[2] - 0.001 / weight_of(lowest[1]) or 0
  redis.call('ZADD', Q .. 'lanes', 'NX', math.max(from or 0, level + 0.001 / weight_of(lane)), lane)
end

local function close_if_empty(lane)
  if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. 'lanes', lane) end
end

-- A ready id of this lane: its envelope, and of its entry when it is held what comes behind the token; nil
-- for a tombstone.
local function look_at(id, lane)
  local envelope = redis.call('GET', Q .. 'job:' .. id)
  local kind, flags = string.byte(envelope or '=', 1, 2)
  if kind == 61 then -- '='
    -- One that is no tombstone was counted; another program has deleted its envelope.
    if not seldom().drop_tombstone(id, lane) then count('ready', -1) end
    return nil
  end
  local named = flags ~= 48 and string.match(envelope, '^2. (%S+)')
  if not named then return envelope, '1:0' end -- no flag; or no envelope: the worker says so
  if (flags - 48) % 32 >= 16 and seldom().is_met_too_late(id, envelope) then return nil end -- EXPIRES
  local tries = flags % 2 == 1 and redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes') or {} -- REMEMBERED
  return envelope, seldom().tries_of((tries[1] or 0) + 1, tries[2] or 0, flags - 48, named)
end

-- take: as many jobs at a time of the lane with the lowest virtual time as its weight says; the last of
-- several lanes takes the rest, and its time stands still: whoever comes begins level with it. Puts three for
-- each job behind the first `from` of a list: id, its entry without the token, envelope; answers how many
-- jobs.
local MAX_BYTES, MAX_LOOKED_AT = 4194304, 4000
local function take(wanted, taken, from)
  local jobs, bytes, looked_at = 0, 0, 0
  while jobs < wanted and looked_at < MAX_LOOKED_AT do
    local lowest = redis.call('ZRANGE', Q .. 'lanes', '0', '1', 'WITHSCORES')
    local lane, is_last = lowest[1], not lowest[3]
    if not lane then break end
    local key, before = Q .. 'ready:' .. lane, jobs
    local share = wanted - jobs
    if not is_last then share = math.min(seldom().weight_of(lane), share) end
    if set.limits then share = limited().room_in_lane(lane, share) end -- 0: it has left `lanes`
    local ids = share > 0 and redis.call('LPOP', key, share == 1 and '1' or share) or {}
    looked_at = looked_at + 1 + #ids
    local served, is_full = #ids, false
    for n = 1, #ids do
      local id = ids[n]
      local envelope, tries = look_at(id, lane)
      if envelope and bytes + #envelope > MAX_BYTES and jobs > 0 then
        for back = #ids, n, -1 do redis.call('LPUSH', key, ids[back]) end
        served, is_full = n - 1, true
        break
      elseif envelope then
        local at = from + 3 * jobs
        taken[at + 1], taken[at + 2], taken[at + 3] = id, tries, envelope
        if tries ~= '1:0' then seldom().held_flagged(id, lane, envelope) end
        jobs = jobs + 1
        bytes = bytes + #envelope
      end
    end
    local is_empty = not is_full and (#ids < share or redis.call('EXISTS', key) == 0)
    if is_last and is_empty or share > 0 and is_empty and lowest[2] + served / seldom().weight_of(lane) <= tonumber(lowest[4]) then
      redis.call('ZREM', Q .. 'lanes', lane)
    elseif share > 0 and not is_last then
      redis.call('ZINCRBY', Q .. 'lanes', served / seldom().weight_of(lane), lane)
    end
    if set.limits and jobs > before then limited().started_in_lane(lane, jobs - before, is_empty) end
    if is_full or is_last and is_empty then break end
  end
  counted.ready = counted.ready - jobs
  return jobs
end
