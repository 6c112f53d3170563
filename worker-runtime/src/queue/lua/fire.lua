-- Enqueues the runs of schedules that are due, each once, and writes when they are due next.
-- KEYS  the queue
-- ARGV  per schedule five: name, what the caller has seen of it, next, at (schedule.lua), the due times
--       to run now and of each how late it is in ms, with spaces between: '<due>:<late> <due>:<late>'
-- returns  ms until the next one fires or -1, then per schedule a text: of each of its runs f (there is a job) or s (skipped: overlap); or 'moved' (somebody
--       else fired or changed it), or 'full' (maxLength: it stays due)
-- Safe to run twice: the second time the due time is another one ('moved').
local answer, is_any_new = { -1 }, false
for i = 1, #ARGV, 5 do
  local name, runs, did = ARGV[i], ARGV[i + 4], ''
  if seen_of(name) ~= ARGV[i + 1] then
    did = 'moved'
  elseif runs ~= '' and is_full() then
    did = 'full'
  else
    local overlap = redis.call('HGET', schedule_key(name), 'overlap')
    place_schedule(name, ARGV[i + 2], ARGV[i + 3])
    for run, late in string.gmatch(runs, '(%d+):(%d+)') do
      did = did .. (run_schedule(name, overlap, run, late) and 'f' or 's')
    end
    is_any_new = is_any_new or string.find(did, 'f', 1, true)
  end
  answer[#answer + 1] = did
end
answer[1] = note_next_schedule()
keep_outcomes()
wake()
if is_any_new then redis.call('PUBLISH', C .. 'stirred', '') end
write_events()
return answer
