-- What a job with flags has besides its envelope comes and goes with it: a line for each flag. Plain jobs come to
-- none of this.

-- A new one has its envelope, and begins to wait. fields: those of its header.
local function entered_flagged(id, letter, fields)
  local flags = flags_of(letter)
  if has_flag(flags, TAGGED) then index_tags(id, text_field({ fields = fields }, 'g') or '', now) end
  if has_flag(flags, EXPIRES) then note_expiry(id, fields) end
end

-- They are held: what `hold` has in its list at these places. Most have nothing but a key.
local function held_flagged(taken, places)
  for _, at in ipairs(now_busy(taken, places) or {}) do
    local id, envelope = taken[at], taken[at + 2]
    local flags = string.byte(envelope, 2) - 48
    if flags >= UNIQUE and has_flag(flags, UNIQUE) then seldom().unique_begins(id, string.match(envelope, '^[^\n]*')) end
    if flags >= EXPIRES and has_flag(flags, EXPIRES) then redis.call('ZREM', Q .. 'expires', id) end
  end
end

-- These are held no more; their entries by id.
local function unheld_flagged(entries)
  for _, id in ipairs(busy_no_more(entries) or {}) do
    if has_flag(entries[id].flags, UNIQUE) then redis.call('SREM', Q .. 'uniqueHeld', id) end
  end
end

-- Before its envelope goes. how: completed, cancelled, expired, buried or gone.
local function ended_flagged(id, how, flags)
  if has_flag(flags, TAGGED) then scheduled_ended(id, how) end
  if has_flag(flags, TAGGED) and how ~= 'buried' then untag(id) end
  if has_flag(flags, UNIQUE) then unique_ended(id, how) end
  if has_flag(flags, EXPIRES) then redis.call('ZREM', Q .. 'expires', id) end
end
