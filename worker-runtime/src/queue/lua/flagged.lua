-- What a job with flags has besides its envelope goes with it: a line for each flag. Plain jobs come to none of
-- this.

-- Before its envelope goes. how: completed, cancelled, buried or gone.
local function ended_flagged(id, how, flags)
  if has_flag(flags, TAGGED) and how ~= 'buried' then untag(id) end
end
