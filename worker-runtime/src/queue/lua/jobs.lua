-- A page of the jobs in one state, next or newest first.
-- KEYS  the queue
-- ARGV  state (ready, delayed, held, buried, completed), how many to pass over, how many at most
-- returns  per job a list of name and value in turn: id, line (the first of its envelope or outcome), lane of
--       a ready one, worker of a
--          held one, at (ms: when it is due, or was buried), why (of a buried one the record of its last attempt, without stack and output)
-- Reads only; O(offset + limit), and the tombstones before.
local PAGE = 1000
local state, offset, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
local function line_of(id) return string.match(redis.call('GETRANGE', Q .. 'job:' .. id, '0', MAX_HEADER), '^[^\n]*') end
local function add(id, ...) found[#found + 1] = { 'id', id, 'line', line_of(id), ... } end

-- The live entries of a lane, from the offset on; what is left of the offset behind it.
local function add_lane(lane)
  local key = Q .. 'ready:' .. lane
  local length, from = redis.call('LLEN', key), 0
  if redis.call('EXISTS', Q .. 'tombstones') == 0 then
    from = math.min(offset, length)
    offset = offset - from
  end
  while from < length and #found < limit do
    for _, id in ipairs(redis.call('LRANGE', key, from, from + PAGE - 1)) do
      if string.byte(line_of(id)) ~= 50 then -- not '2': a tombstone
      elseif offset > 0 then
        offset = offset - 1
      else
        add(id, 'lane', lane)
        if #found == limit then break end
      end
    end
    from = from + PAGE
  end
end

-- A record may have 20 KB; what a list shows of it is small.
local function why_buried(id)
  local last = redis.call('HGET', Q .. 'attempt:' .. id, 'tries')
  local known, record = pcall(cjson.decode, last and redis.call('HGET', Q .. 'attempt:' .. id, '#' .. last) or '')
  if not known or type(record) ~= 'table' then return '' end
  local error = type(record.error) == 'table' and record.error or nil
  if error then error.stack = nil end
  return cjson.encode({ outcome = record.outcome, message = record.message, error = error })
end

if state == 'ready' then
  for _, lane in ipairs(lanes()) do add_lane(lane) end
elseif state == 'held' then
  for _, worker in ipairs(redis.call('ZRANGE', Q .. 'workers', '0', '-1')) do
    for _, id in ipairs(redis.call('HKEYS', Q .. 'held:' .. worker)) do
      if offset > 0 then offset = offset - 1 elseif #found < limit then add(id, 'worker', worker) end
    end
  end
elseif state == 'completed' then
  for _, id in ipairs(redis.call('LRANGE', Q .. 'completed', offset, offset + limit - 1)) do add(id) end
else
  local order = state == 'buried' and 'ZREVRANGE' or 'ZRANGE'
  local page = redis.call(order, Q .. state, offset, offset + limit - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    local id, at = page[i], page[i + 1]
    if state == 'buried' then add(id, 'at', at, 'why', why_buried(id)) else add(id, 'at', at) end
  end
end
return found
