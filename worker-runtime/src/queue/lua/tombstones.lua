-- What claims need not know of lanes: tombstones, and the list of all lanes. Taking a cancelled id out of the
-- middle of its lane is O(n), so its entry stays there until a claim meets it: a tombstone. Its envelope is
-- gone by then, or for the time of its retention an outcome. The flag in config says that there may be any.
-- Those in lanes of keys are counted: what waits there is their length without them.
local function count_tombstones(lane, by)
  if key_of(lane) and redis.call('HINCRBY', Q .. 'tombstonesIn', lane, by) == 0 then redis.call('HDEL', Q .. 'tombstonesIn', lane) end
end

local function leave_tombstone(id, lane)
  redis.call('HSET', Q .. 'tombstones', id, lane)
  count_tombstones(lane, 1)
  if not set.tombstones then
    set.tombstones = 1
    redis.call('HSET', Q .. 'config', 'tombstones', '1')
    note_settings()
  end
  count('ready', -1)
  if set.limits then limited().left_blocked(lane, 1) end
end

local function drop_tombstone(id, lane)
  if redis.call('HDEL', Q .. 'tombstones', id) == 0 then return false end
  count_tombstones(lane, -1)
  return true
end

-- The id of a cancelled job may be used anew before a claim has met its old entry, which would pass for the
-- new one. O(n), but rare.
local function remove_tombstone(id)
  local lane = redis.call('HGET', Q .. 'tombstones', id)
  if not lane or redis.call('EXISTS', Q .. 'job:' .. id) == 1 then return end
  redis.call('LREM', Q .. 'ready:' .. lane, '1', id)
  drop_tombstone(id, lane)
  close_if_empty(lane)
end

-- The true number of ready jobs. O(lanes): only where the counter is wrong, after keys were written or
-- deleted by hand.
local function ready_in_lanes()
  local ready = -redis.call('HLEN', Q .. 'tombstones')
  for _, where in ipairs({ 'lanes', 'blocked' }) do
    for _, lane in ipairs(redis.call('ZRANGE', Q .. where, '0', '-1')) do ready = ready + redis.call('LLEN', Q .. 'ready:' .. lane) end
  end
  return math.max(0, ready)
end
