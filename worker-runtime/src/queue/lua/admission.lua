-- What an enqueue does at a limit of a key: it is refused as a whole, or the oldest jobs of the key are
-- cancelled. A delayed job counts when it is due.
local REJECT, CANCEL = 1, 2

-- The keys of a call, each with its jobs that are ready at once: id and head in turn.
local function keys_of(args)
  local found, is_named, key, last = {}, {}, nil, nil
  for i = 1, #args - 1, 3 do
    local id, head = args[i], args[i + 1]
    if head ~= '' then key, last = string.match(head, '^.%a+/(%S+) %-'), head end
    if key and not is_named[id] then
      local jobs = found[key] or {}
      jobs[#jobs + 1], jobs[#jobs + 2] = id, last
      found[key] = jobs
    end
    is_named[id] = true
  end
  return found
end

local function new_among(jobs)
  local new = 0
  for i = 1, #jobs, 2 do new = new + (is_new_job(jobs[i], jobs[i + 1]) and 1 or 0) end
  return new
end

local function refusal_of(args)
  for key, jobs in pairs(keys_of(args)) do
    local limit = limits_of(key)
    local most = limit.w ~= CANCEL and limit.l or math.huge
    if limit.w == REJECT then most = math.min(most, (room_of(key))) end
    if most < math.huge then
      local new, waiting = new_among(jobs), waiting_of(key)
      if new > 0 and waiting + new > most then
        return redis.error_reply(string.format('KEYFULL %s %d %d', key, waiting, busy_of(key)))
      end
    end
  end
end

-- The held jobs of a key that nobody has cancelled, the one that started first first.
local function running_of(key)
  local running, token_of = {}, {}
  for _, member in ipairs(redis.call('ZRANGEBYLEX', Q .. 'busy', range_of(key))) do
    local token, id = string.match(member, ' (%d+) (.*)')
    token_of[id] = tonumber(token)
    if redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 0 then running[#running + 1] = id end
  end
  table.sort(running, function(a, b) return token_of[a] < token_of[b] end)
  return running
end

-- Of the jobs at the heads of its lanes, the one that was enqueued first. Tombstones at a head go: where no
-- claim comes, each enqueue would leave one more.
local function first_waiting(key)
  local first, since
  for _, lane in ipairs(lanes_of(key)) do
    local list = Q .. 'ready:' .. lane
    local at, id, header = 0, nil, nil
    repeat
      id = redis.call('LINDEX', list, at)
      header = id and header_of(id)
      if id and not header and at == 0 and drop_tombstone(id, lane) then redis.call('LPOP', list) else at = at + 1 end
    until header or not id
    if header and (not since or header.enqueued < since) then first, since = id, header.enqueued end
  end
  return first
end

-- The newest jobs of a key stay, as many as may run and wait.
local function cancel_oldest(key, limit)
  local running, nth, waiting = running_of(key), 0, waiting_of(key)
  local most = { all = limit.b or math.huge, waiting = limit.l or math.huge }
  while waiting > most.waiting or #running - nth + waiting > most.all do
    if waiting <= most.waiting and nth < #running then
      nth = nth + 1
      local worker, entry = holder_of(running[nth])
      if worker then cancel_job(running[nth], { state = 'held', worker = worker, entry = entry }) end
    else
      local id = first_waiting(key)
      if not id then break end
      waiting = waiting - 1
      cancel_job(id, { state = 'ready' })
    end
  end
end

-- Behind an enqueue. Answers how many of the jobs that were ready before may run.
local function supersede(args, before)
  for key in pairs(keys_of(args)) do
    local limit = limits_of(key)
    if limit.w == CANCEL then cancel_oldest(key, limit) end
  end
  keep_outcomes()
  return runnable(before)
end
