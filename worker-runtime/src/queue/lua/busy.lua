-- Keys: what jobs have in common. The lane of a job has its key; all priorities of a key share its limits.
local function key_of(lane)
  local slash = string.find(lane, '/', 1, true)
  return slash and string.sub(lane, slash + 1)
end

-- `busy` has '<key> <token> <id>' of each held job of a key, all with the score 0: those of a key lie side by side,
-- and are counted without a look at each (limits.lua). One command a call puts them in and one takes them out,
-- whatever their keys.
local function range_of(key) return '[' .. key .. ' ', '(' .. key .. '!' end -- '!' is the next character

-- What `hold` has in its list at these places.
local function now_busy(taken, places)
  local members = {}
  for _, at in ipairs(places) do
    local token, key = string.match(taken[at + 1], '^(%d+):[^/]*/(.*)')
    if token then members[#members + 1], members[#members + 2] = '0', key .. ' ' .. token .. ' ' .. taken[at] end
  end
  if #members > 0 then redis.call('ZADD', Q .. 'busy', unpack(members)) end
end

-- Held entries by id.
local function busy_no_more(entries)
  local members, keys, is_named = {}, {}, {}
  for id, held in pairs(entries) do
    local key = key_of(held.lane or '')
    if key then members[#members + 1] = key .. ' ' .. held.token .. ' ' .. id end
    if key and not is_named[key] then is_named[key], keys[#keys + 1] = true, key end
  end
  for first = 1, #members, SLICE do redis.call('ZREM', Q .. 'busy', slice(members, first)) end
  if set.limits and #keys > 0 then limited().have_ended(keys) end
end
