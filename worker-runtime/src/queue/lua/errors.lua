-- Error groups: failures of one kind are counted as one group. A worker says with a failed attempt to which
-- group it belongs (fingerprint.ts). errors: groups by when they were last seen; error:<group>: what is known
-- of one; failed:<group>: buried jobs whose last attempt failed so.
local MOST_GROUPS, MOST_TASKS = 1000, 50

-- The beginning of a record, as workers write it (worker/settlement.ts): outcome, and group.
local function kind_of(record)
  local outcome, rest = string.match(record, '^{"outcome":"([%w-]+)"(.*)')
  local group = rest and string.match(rest, '^,"group":"(v%d:%x+)"')
  return outcome or 'unknown', group and #group == 19 and group or nil
end

local function forget_groups(groups)
  for _, group in ipairs(groups) do redis.call('UNLINK', Q .. 'error:' .. group, Q .. 'failed:' .. group) end
end

-- The first failure of a group is its sample.
local function begin_group(group, record, worker)
  local known, found = pcall(cjson.decode, record)
  local error = known and type(found) == 'table' and type(found.error) == 'table' and found.error or {}
  local function text(value, most) return type(value) == 'string' and string.sub(value, 1, most) or '' end
  local message = known and type(found) == 'table' and (error.message or found.message)
  redis.call('HSET', Q .. 'error:' .. group, 'firstMs', string.format('%d', now),
    'outcome', known and type(found) == 'table' and text(found.outcome, 50) or '', 'type', text(error.name, 200),
    'message', text(message, 1000), 'version', redis.call('HGET', Q .. 'worker:' .. worker, 'version') or '')
  local excess = redis.call('ZCARD', Q .. 'errors') - MOST_GROUPS
  if excess <= 0 then return end
  local oldest = redis.call('ZRANGE', Q .. 'errors', '0', excess - 1)
  redis.call('ZREM', Q .. 'errors', unpack(oldest))
  forget_groups(oldest)
end

local function count_error(group, task, record, worker)
  local key = Q .. 'error:' .. group
  if redis.call('ZADD', Q .. 'errors', string.format('%d', now), group) == 1 then begin_group(group, record, worker) end
  redis.call('HINCRBY', key, 'count', '1')
  if redis.call('HINCRBY', key, 'task:' .. task, '1') == 1 and redis.call('HLEN', key) > MOST_TASKS then
    redis.call('HDEL', key, 'task:' .. task)
    redis.call('HINCRBY', key, 'task:', '1')
  end
end

-- A buried job is listed with the group of its last attempt, until it leaves `buried`.
local function list_failed(id, group)
  redis.call('ZADD', Q .. 'failed:' .. group, string.format('%d', now), id)
end

local function unlist_failed(id)
  local group = redis.call('HGET', Q .. 'attempt:' .. id, 'group')
  if group then redis.call('ZREM', Q .. 'failed:' .. group, id) end
end
