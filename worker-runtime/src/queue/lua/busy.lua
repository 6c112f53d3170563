-- Keys: what jobs have in common. The lane of a job has its key; all priorities of a key share its limits.
local function key_of(lane)
  local slash = string.find(lane, '/', 1, true)
  return slash and string.sub(lane, slash + 1)
end

-- The held jobs of a key: their number is compared with its limit. busy_no_more is given their entries by id.
local function now_busy(id, lane)
  local key = key_of(lane)
  if key then redis.call('ZADD', Q .. 'busy:' .. key, string.format('%d', now), id) end
end
local function busy_no_more(entries)
  local ids_of, keys = {}, {}
  for id, held in pairs(entries) do
    local key = key_of(held.lane or '')
    if key and not ids_of[key] then ids_of[key], keys[#keys + 1] = {}, key end
    if key then ids_of[key][#ids_of[key] + 1] = id end
  end
  for key, ids in pairs(ids_of) do
    for first = 1, #ids, SLICE do redis.call('ZREM', Q .. 'busy:' .. key, slice(ids, first)) end
  end
  if set.limits then limited().have_ended(keys) end
end
