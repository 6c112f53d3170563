-- Lanes: where ready jobs wait. A lane is named <priority> or <priority>/<key>; its list has ids, next first,
-- and `lanes` has the lanes that have a list, by virtual time: a claim serves the lowest, and adds what it
-- took divided by the weight of the priority.
local WEIGHT = { urgent = 8, high = 4, normal = 2, low = 1 }
local function weight_of(lane) return WEIGHT[lane] or WEIGHT[string.match(lane, '^%a+')] or 1 end

-- A lane that gets work again starts level with the lowest one: it has no credit from the time when it was
-- empty. Of lanes that are level the more urgent one comes first.
local function open_lane(lane)
  local lowest = redis.call('ZRANGE', Q .. 'lanes', '0', '0', 'WITHSCORES')
  local level = lowest[1] and lowest[2] - 0.001 / weight_of(lowest[1]) or 0
  redis.call('ZADD', Q .. 'lanes', 'NX', level + 0.001 / weight_of(lane), lane)
end

local function close_if_empty(lane)
  if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. 'lanes', lane) end
end

-- tombstones: taking a cancelled id out of the middle of its lane is O(n), so its entry stays there until a
-- claim meets it. Its envelope is gone by then, or for the time of its retention an outcome. The flag in
-- config says that there may be any.
local function leave_tombstone(id, lane)
  redis.call('HSET', Q .. 'tombstones', id, lane)
  if not set.tombstones then
    redis.call('HSET', Q .. 'config', 'tombstones', '1')
    note_settings()
  end
  count('ready', -1)
end

-- The id of a cancelled job may be used anew before a claim has met its old entry, which would pass for the
-- new one. O(n), but rare.
local function remove_tombstone(id)
  local lane = redis.call('HGET', Q .. 'tombstones', id)
  if not lane or redis.call('EXISTS', Q .. 'job:' .. id) == 1 then return end
  redis.call('LREM', Q .. 'ready:' .. lane, '1', id)
  redis.call('HDEL', Q .. 'tombstones', id)
  close_if_empty(lane)
end

-- The true number of ready jobs. O(lanes): only where the counter is wrong, after keys were written or
-- deleted by hand.
local function ready_in_lanes()
  local ready = -redis.call('HLEN', Q .. 'tombstones')
  for _, lane in ipairs(redis.call('ZRANGE', Q .. 'lanes', '0', '-1')) do ready = ready + redis.call('LLEN', Q .. 'ready:' .. lane) end
  return math.max(0, ready)
end

-- All lanes that have work, the most urgent first.
local function lanes()
  local found = redis.call('ZRANGE', Q .. 'lanes', '0', '-1')
  table.sort(found, function(a, b)
    local by = weight_of(a) - weight_of(b)
    return by > 0 or by == 0 and a < b
  end)
  return found
end

-- A ready id: its envelope, and of its entry when it is held what comes behind the token; nil for a
-- tombstone.
local function look_at(id)
  local envelope = redis.call('GET', Q .. 'job:' .. id)
  local kind, flags = string.byte(envelope or '=', 1, 2)
  if kind == 61 then -- '='
    redis.call('HDEL', Q .. 'tombstones', id)
    return nil
  end
  local lane = flags ~= 48 and string.match(envelope, '^2. (%S+)')
  if not lane then return envelope, '1:0' end -- no flag; or no envelope at all: the worker says so
  local attempts, crashes = unpack(redis.call('HMGET', Q .. 'attempt:' .. id, 'attempts', 'crashes'))
  return envelope, seldom().tries_of((attempts or 0) + 1, crashes or 0, flags - 48, lane)
end

-- take: as many jobs at a time of the lane with the lowest virtual time as its weight says; the last of
-- several lanes takes the rest, and its time stands still: whoever comes begins level with it. Puts three for
-- each job behind the first `from` of a list: id, its entry without the token, envelope; answers how many
-- jobs.
local MAX_BYTES, MAX_LOOKED_AT = 4194304, 2000
local function take(wanted, taken, from)
  local jobs, bytes, looked_at = 0, 0, 0
  while jobs < wanted and looked_at < MAX_LOOKED_AT do
    local lowest = redis.call('ZRANGE', Q .. 'lanes', '0', '1', 'WITHSCORES')
    local lane, is_last = lowest[1], not lowest[3]
    if not lane then break end
    local key = Q .. 'ready:' .. lane
    local share = wanted - jobs
    if not is_last then share = math.min(seldom().weight_of(lane), share) end
    local ids = redis.call('LPOP', key, share == 1 and '1' or share) or {}
    looked_at = looked_at + #ids
    local served, is_full = #ids, false
    for n = 1, #ids do
      local id = ids[n]
      local envelope, tries = look_at(id)
      if envelope and bytes + #envelope > MAX_BYTES and jobs > 0 then
        for back = #ids, n, -1 do redis.call('LPUSH', key, ids[back]) end
        served, is_full = n - 1, true
        break
      elseif envelope then
        local at = from + 3 * jobs
        taken[at + 1], taken[at + 2], taken[at + 3] = id, tries, envelope
        jobs = jobs + 1
        bytes = bytes + #envelope
      end
    end
    if not is_full and (#ids < share or redis.call('EXISTS', key) == 0) then
      redis.call('ZREM', Q .. 'lanes', lane)
      if is_last then break end
    elseif not is_last then
      redis.call('ZINCRBY', Q .. 'lanes', served / seldom().weight_of(lane), lane)
    end
    if is_full then break end
  end
  counted.ready = counted.ready - jobs
  return jobs
end
