-- The turns of lanes in one claim (lanes.lua), where there are several lanes.
local moved -- lane -> its virtual time, not written yet

-- A lane that was served comes back into its place among those that are next, from the index `first` on: lane
-- and time in turn. Where they are not all, one behind them waits until they are asked for anew.
local function come_back(turns, first, lane, time, are_all)
  if not are_all and time - turns[#turns] > 0 then return end
  local at = #turns + 1
  while at > first and turns[at - 1] - time > 0 do
    turns[at], turns[at + 1] = turns[at - 2], turns[at - 1]
    at = at - 2
  end
  turns[at], turns[at + 1] = lane, time
end

-- A sorted set of up to 128 short members is a list for Redis, and each change walks through it. One that ever had a
-- long member is a tree while it exists.
local LONG = '00000000000000000000000000000000000000000000000000000000000000000'
local function write_turns(gone)
  local served = {}
  for lane, time in pairs(moved) do served[#served + 1], served[#served + 2] = string.format('%d', time), lane end
  if #served > 6 then served[#served + 1], served[#served + 2], gone[#gone + 1] = '0', LONG, LONG end
  if #served > 0 then redis.call('ZADD', Q .. 'lanes', unpack(served)) end
  if #gone > 0 then redis.call('ZREM', Q .. 'lanes', unpack(gone)) end
  moved = nil
end
