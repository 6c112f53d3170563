-- Keys: what jobs have in common. The lane of a job has its key; all priorities of a key share its limits.
local function key_of(lane)
  local slash = string.find(lane, '/', 1, true)
  return slash and string.sub(lane, slash + 1)
end

-- `busy` has '<key> <token> <id>' of each held job of a key, all with the score 0: those of a key lie side by side,
-- and are counted without a look at each (limits.lua). One command a call puts them in and one takes them out,
-- whatever their keys.
local function range_of(key) return '[' .. key .. ' ', '(' .. key .. '!' end -- '!' is the next character

-- What `hold` has in its list at these places. Answers those of jobs that have more than a key, if any.
local function now_busy(taken, places)
  local members, others = {}, nil
  for n = 1, #places do
    local at = places[n]
    local token, letter, key = string.match(taken[at + 1], '^(%d+):%d+:%d+:(.):%a+/?(.*)')
    if key ~= '' then members[#members + 1], members[#members + 2] = '0', key .. ' ' .. token .. ' ' .. taken[at] end
    if letter ~= '2' then -- KEYED alone
      others = others or {}
      others[#others + 1] = at
    end
  end
  if #members > 0 then redis.call('ZADD', Q .. 'busy', unpack(members)) end
  return others
end

-- Held entries by id. Answers the ids of those that have more than a key, if any.
local function busy_no_more(entries)
  local members, keys, is_named, key_in, others = {}, {}, {}, {}, nil
  for id, held in pairs(entries) do
    local lane = held.lane or ''
    local key = key_in[lane]
    if key == nil then
      key = key_of(lane) or false
      key_in[lane] = key
      if key and not is_named[key] then is_named[key], keys[#keys + 1] = true, key end
    end
    if key then members[#members + 1] = key .. ' ' .. held.token .. ' ' .. id end
    if held.flags > 2 then -- KEYED alone
      others = others or {}
      others[#others + 1] = id
    end
  end
  for first = 1, #members, SLICE do redis.call('ZREM', Q .. 'busy', slice(members, first)) end
  if set.limits and #keys > 0 then limited().have_ended(keys) end
  return others
end
