-- Events: what a call did to jobs, as one entry of the stream `events`, written behind all else. What every
-- job does (enqueued, claimed, completed) is told only while somebody watches (watch.lua); the rest always.
--
-- entry: `worker` and its name where there is one, then kinds, each with a text: how many jobs, and for each
-- of at most 100 of them a line `<id> <task> <facts>`; of flow-started and flow-ended it is flows, with - for a task.
local MOST_NAMED = 100
local told -- by kind the lines of this call

local function tell(kind, line)
  told = told or {}
  local lines = told[kind] or { jobs = 0 }
  told[kind] = lines
  if line then lines.jobs = lines.jobs + 1 end
  if line and lines.jobs <= MOST_NAMED then lines[lines.jobs] = line end
end

local function is_watched() return (set.watchedUntilMs or 0) > now end

-- Behind everything that a verb does. `worker` is that of all jobs of the entry.
local function write_events(worker)
  local most = told and rule('eventsMaxCount') or 0
  if most == 0 then return end
  local entry = { 'worker', worker or '' }
  for kind, lines in pairs(told) do
    entry[#entry + 1] = kind
    entry[#entry + 1] = lines.jobs .. (lines.jobs > 0 and '\n' .. table.concat(lines, '\n') or '')
  end
  redis.call('XADD', Q .. 'events', 'MAXLEN', '~', string.format('%d', most), '*', unpack(entry))
end

-- What an exchange did. `answer` has what became of each id from the fourth on, then three for each claim.
local function tell_exchange(args, ids, answer, claimed)
  for n = 1, is_watched() and #ids or 0 do
    local task, duration = string.match(args[5 + 4 * n], '^%[?"?%d+ (%S+) ?(%x*)') -- completed, or in the list of with-jobs
    if answer[3 + n] == 'completed' then tell('completed', ids[n] .. ' ' .. task .. ' ' .. duration) end
  end
  for n = 1, is_watched() and claimed or 0 do
    local id, entry, envelope = unpack(answer, 1 + #ids + 3 * n, 3 + #ids + 3 * n)
    local task = string.match(envelope, '^2. %S+ %d+ (%S+)') or '-'
    tell('claimed', id .. ' ' .. task .. ' ' .. string.match(entry, ':(%d+)'))
  end
end

-- What an enqueue did. `known` has places from 0 and ids in turn behind its first; `worker` was given the one
-- job.
local function tell_enqueue(args, known, worker)
  local is_known, task = {}, nil
  for i = 2, #known, 2 do is_known[known[i]] = true end
  for i = 1, is_watched() and #args - 1 or 0, 3 do
    task = string.match(args[i + 1], '^%S+ %S+ (%S+)') or task
    if not is_known[(i - 1) / 3] then tell('enqueued', args[i] .. ' ' .. task) end
  end
  if worker and task then tell('claimed', args[1] .. ' ' .. task .. ' 1') end
  write_events(worker)
end
