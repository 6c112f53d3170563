-- A page of the jobs in one state, next or newest first.
-- KEYS  the queue
-- ARGV  state (ready, delayed, held, buried, completed), how many to pass over, how many at most
-- returns  per job four: id, first line of its envelope or outcome, what belongs to the state (lane, due ms, worker, buried ms, ''),
--          of a buried one the record of its last attempt without stack and output, else ''
-- Reads only; O(offset + limit), and the tombstones before.
local PAGE = 1000
local state, offset, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
local function add(id, more) found[#found + 1] = { id, more } end
local function line_of(id) return string.match(redis.call('GETRANGE', Q .. 'job:' .. id, 0, MAX_HEADER), '^[^\n]*') end

-- The live entries of a lane, from the offset on; what is left of the offset behind it.
local function add_lane(lane)
  local key = Q .. 'ready:' .. lane
  local length = redis.call('LLEN', key)
  local from = 0
  if tombstones() == 0 then
    from = math.min(offset, length)
    offset = offset - from
  end
  while from < length and #found < limit do
    local page = redis.call('LRANGE', key, from, from + PAGE - 1)
    for _, id in ipairs(page) do
      if string.byte(line_of(id)) ~= 49 then -- not '1': a tombstone
      elseif offset > 0 then
        offset = offset - 1
      else
        add(id, lane)
        if #found == limit then break end
      end
    end
    from = from + PAGE
  end
end

if state == 'ready' then
  for _, lane in ipairs({ 'urgent', 'high', 'normal', 'low' }) do add_lane(lane) end
elseif state == 'held' then
  for _, worker in ipairs(redis.call('ZRANGE', Q .. 'workers', 0, -1)) do
    for _, id in ipairs(redis.call('HKEYS', Q .. 'held:' .. worker)) do
      if offset > 0 then offset = offset - 1 elseif #found < limit then add(id, worker) end
    end
  end
elseif state == 'completed' then
  for _, id in ipairs(redis.call('LRANGE', Q .. 'completed', offset, offset + limit - 1)) do add(id, '') end
else
  local order = state == 'buried' and 'ZREVRANGE' or 'ZRANGE'
  local page = redis.call(order, Q .. state, offset, offset + limit - 1, 'WITHSCORES')
  for i = 1, #page, 2 do add(page[i], page[i + 1]) end
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
local answer = {}
for _, job in ipairs(found) do
  local at = #answer
  answer[at + 1], answer[at + 2], answer[at + 3] = job[1], line_of(job[1]), job[2]
  answer[at + 4] = state == 'buried' and why_buried(job[1]) or ''
end
return answer
