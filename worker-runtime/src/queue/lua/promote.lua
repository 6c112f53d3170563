-- Promotion: a delayed job that is due becomes ready, at the end of its lane; a key that was parked until now
-- goes on. Every claim promotes first.

local function promote(most)
  local due, ready = redis.call('ZRANGEBYSCORE', Q .. 'delayed', '-inf', now, 'LIMIT', '0', most), {}
  for first = 1, #due, SLICE do redis.call('ZREM', Q .. 'delayed', slice(due, first)) end
  for _, id in ipairs(due) do
    local header = header_of(id)
    if header then
      local ids = ready[header.lane] or {}
      ids[#ids + 1] = id
      ready[header.lane] = ids
    end
  end
  for lane, ids in pairs(ready) do enter_lane(lane, ids, 'RPUSH') end
  if set.limits then limited().unpark_due(most) end
end
