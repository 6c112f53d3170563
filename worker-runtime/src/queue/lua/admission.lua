-- What an enqueue does at a limit of a key: it is refused as a whole, or the oldest jobs of the key are
-- cancelled. A delayed job counts when it is due.
local REJECT, CANCEL = 1, 2

-- The keys of a call, with how many of its jobs are ready at once and new.
local function keys_of(args)
  local found, is_named, key, last = {}, {}, nil, nil
  for i = 1, #args - 1, 3 do
    local id, head = args[i], args[i + 1]
    if head ~= '' then key, last = string.match(head, '^.%a+/(%S+) %-'), head end
    if key and not is_named[id] then found[key] = (found[key] or 0) + (is_new_job(id, last) and 1 or 0) end
    is_named[id] = true
  end
  return found
end

local function refusal_of(args)
  for key, new in pairs(keys_of(args)) do
    local limit, waiting = limits_of(key), waiting_of(key)
    local most = limit.w ~= CANCEL and limit.l or math.huge
    if limit.w == REJECT then most = math.min(most, (room_of(key))) end
    if new > 0 and waiting + new > most then
      return redis.error_reply(string.format('KEYFULL %s %d %d', key, waiting, redis.call('ZCARD', Q .. 'busy:' .. key)))
    end
  end
end

-- The held jobs of a key that nobody has cancelled, the one that started first first.
local function running_of(key)
  local running = {}
  for _, id in ipairs(redis.call('ZRANGE', Q .. 'busy:' .. key, '0', '-1')) do
    if redis.call('HEXISTS', Q .. 'attempt:' .. id, 'cancel') == 0 then running[#running + 1] = id end
  end
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

-- Behind an enqueue: the newest jobs of a key stay, as many as may run and wait. Answers how many of those that
-- were ready before may run.
local function supersede(args, before)
  for key in pairs(keys_of(args)) do
    local limit = limits_of(key)
    local running = limit.w == CANCEL and running_of(key) or {}
    local waiting, nth = waiting_of(key), 0
    local most = limit.w == CANCEL and { all = limit.b or math.huge, waiting = limit.l or math.huge } or nil
    while most and (waiting > most.waiting or #running - nth + waiting > most.all) do
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
  keep_outcomes()
  return runnable(before)
end
