-- Follow-ups: jobs that a task enqueues with its own success. They come in the script that completes their job,
-- so a job that is tried again leaves none of them.
-- text: JSON list of what `completed` takes, and for each of them four: queue, id, head as in new_job, payload.
local function completed_with_jobs(id, held, text)
  local parts = cjson.decode(text)
  local enqueued, rest = string.match(parts[1], '^(%d+) (.*)')
  ended(id, 'completed', held.flags, write_outcome('c', held, enqueued, rest))
  for i = 2, #parts, 4 do enqueue_in(parts[i], parts[i + 1], parts[i + 2], parts[i + 3]) end
  return 'completed'
end
