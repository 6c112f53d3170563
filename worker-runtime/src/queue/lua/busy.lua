-- Keys: what jobs have in common. The lane of a job has its key; all priorities of a key share its limits.
local function key_of(lane) return string.match(lane, '/(.+)$') end

-- The held jobs of a key: their number is compared with its limit. busy_no_more is given their entries by id.
local function now_busy(id, lane)
  local key = key_of(lane)
  if key then redis.call('ZADD', Q .. 'busy:' .. key, now, id) end
end
local function busy_no_more(entries)
  for id, held in pairs(entries) do
    local key = key_of(held.lane or '')
    if key then
      redis.call('ZREM', Q .. 'busy:' .. key, id)
      if set.limits then limited().one_ended(key) end
    end
  end
end
