-- Deletes jobs that wait or are buried, for good, at most 500 a call. Held jobs stay with their workers, and
-- outcomes stay.
-- KEYS  the queue
-- ARGV  the states: ready, delayed, buried
-- returns  how many were deleted, and 1 where there may be more
-- Safe to run twice: the second call deletes what is there then.
local MOST = 500
local left, deleted = MOST, 0

-- The outcome of a cancelled id in the lane may stay.
local function purge(ids, state, lane)
  left = left - #ids
  local live = {}
  for _, id in ipairs(ids) do
    local was_cancelled = state == 'ready' and drop_tombstone(id, lane)
    if not was_cancelled then live[#live + 1] = id end
    if state == 'buried' then unlist_failed(id) end
  end
  drop(live)
  if state == 'ready' then count('ready', -#live) end
  if state == 'ready' and set.limits then limited().left_blocked(lane, #live) end
  deleted = deleted + #live
end

-- There may be a lane for each of 100,000 keys: one that is empty counts as a job, so that a call has an end.
local function purge_lanes(where)
  while left > 0 do
    local lanes = redis.call('ZRANGE', Q .. where, '0', left - 1)
    if #lanes == 0 then return end
    for _, lane in ipairs(lanes) do
      if left == 0 then return end
      local ids = redis.call('LPOP', Q .. 'ready:' .. lane, left) or {}
      purge(ids, 'ready', lane)
      if #ids == 0 then left = left - 1 end
      if redis.call('EXISTS', Q .. 'ready:' .. lane) == 0 then redis.call('ZREM', Q .. where, lane) end
    end
  end
end

for _, state in ipairs(ARGV) do
  if state == 'ready' then
    purge_lanes('lanes')
    purge_lanes('blocked')
  elseif left > 0 then
    local ids = redis.call('ZRANGE', Q .. state, '0', left - 1)
    if #ids > 0 then redis.call('ZREM', Q .. state, unpack(ids)) end
    purge(ids, state)
  end
end
wake()
write_events()
return { deleted, left == 0 and 1 or 0 }
