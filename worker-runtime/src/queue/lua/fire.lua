-- Enqueues the runs of schedules that are due, each once, and writes when they are due next.
-- KEYS  the queue
-- ARGV  per schedule six: name, version and due time that the caller has seen, next, at (schedule.lua), the due times
--       to run now and of each how late it is in ms, with spaces between: '<due>:<late> <due>:<late>'
-- returns  ms until the next one fires or -1, then per schedule a text: of each of its runs f (there is a job) or s (skipped: overlap); or 'moved' (somebody
--       else fired or changed it), or 'full' (maxLength: it stays due)
-- Safe to run twice: the second time the due time is another one ('moved').
local answer, is_any_new = { -1 }, false
for i = 1, #ARGV, 6 do
  local name, runs, did = ARGV[i], ARGV[i + 5], ''
  local version, due, overlap = unpack(redis.call('HMGET', schedule_key(name), 'version', 'next', 'overlap'))
  if version ~= ARGV[i + 1] or due ~= ARGV[i + 2] then
    did = 'moved'
  elseif runs ~= '' and is_full() then
    did = 'full'
  else
    place_schedule(name, ARGV[i + 3], ARGV[i + 4])
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
