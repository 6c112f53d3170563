-- Jobs that come from a script: of a schedule, of a flow, of a task that completed. Their ids make them safe to
-- enqueue twice. maxLength and the limits of a key refuse none of them: whoever decided it has ended.

-- head: as in an enqueue, '<flags><lane> <when> <call>'. Answers whether the id is new. Where `entering` is given, one that
-- is ready is added there, to the ids of its lane, which the caller puts into the lane.
local function new_job(id, head, payload, entering)
  local flags, lane, sign, ms, call = string.match(head, '^(.)(%S+) ([-+@])(%S*) (.*)')
  local due = sign == '-' and now or ms + (sign == '+' and now or 0)
  if set.tombstones then seldom().remove_tombstone(id) end
  flags, call = with_expiry(flags, call, due)
  local more = flags_of(flags) % FLOW > 3
  if more and seldom().taken_by(id, head, call, due, payload) then return false end
  if due > now then call = string.format('%s d=%d', call, due) end
  if redis.call('SETNX', Q .. 'job:' .. id, write_header(flags, lane, now_ms, call) .. payload) == 0 then return false end
  if more then seldom().entered_flagged(id, flags, call) end
  count('enqueued', 1)
  if due > now then
    local before = next_ms()
    enter_delayed({ due, id })
    is_sooner = is_sooner or before < 0 or next_ms() < before
  elseif entering then
    entering[lane] = entering[lane] or {}
    table.insert(entering[lane], id)
  else
    enter_lane(lane, { id }, 'RPUSH')
  end
  if is_watched() then tell('enqueued', id .. ' ' .. string.match(call, '^%S+')) end
  return true
end
