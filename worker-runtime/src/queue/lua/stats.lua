-- History: figures by time, in five resolutions. stats:<seconds>:<start> has a field for each task, with names
-- and numbers in one text (figures.ts), and the field '' for the state of the whole queue. In one text, because
-- a field for each number would take ten times the memory.

-- Numbers of the same name become one: their sum, or the highest.
local function merged(text, more, is_state)
  local numbers, names = {}, {}
  for name, n in string.gmatch(text .. ' ' .. more, '(%S+) (%d+)') do
    if not numbers[name] then names[#names + 1] = name end
    numbers[name] = is_state and math.max(numbers[name] or 0, tonumber(n)) or (numbers[name] or 0) + n
  end
  for i, name in ipairs(names) do names[i] = string.format('%s %d', name, numbers[name]) end
  return table.concat(names, ' ')
end

local MOST_ROWS = 101
local function add_row(key, kept_s, field, text)
  local known = redis.call('HGET', key, field)
  if not known and field ~= '' and redis.call('HLEN', key) >= MOST_ROWS then
    field = 'other'
    known = redis.call('HGET', key, field)
  end
  local is_new = redis.call('HSET', key, field, known and merged(known, text, field == '') or text) == 1
  if is_new and redis.call('HLEN', key) == 1 then redis.call('EXPIRE', key, kept_s) end
end

local function bucket_key(seconds) return Q .. 'stats:' .. string.format('%d:%d', seconds, now - now % (1000 * seconds)) end

-- Tasks and texts in turn, from this place of the list on.
local function add_to_history(rows, from)
  for seconds, kept_s in pairs({ [10] = 7200, [60] = 93600, [600] = 1296000, [3600] = 8640000, [43200] = 8640000 }) do
    for i = from, #rows - 1, 2 do add_row(bucket_key(seconds), kept_s, rows[i], rows[i + 1]) end
  end
end
