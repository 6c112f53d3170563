-- The texts in Redis that scripts write and read, each format once: header of an envelope, entry of a held
-- job, outcome.

-- The flags of a job say what there is besides its envelope, as a sum in one character from '0' on. They
-- stand in the header, and in the entry of the job when it is held: a job with no flag ends without a look at
-- its header.
local REMEMBERED = 1 -- attempt:<id> exists
local KEYED = 2 -- its lane has a key
local TAGGED = 4 -- it has tags (tags.lua), or comes from a schedule (schedule-end.lua)
local UNIQUE = 8 -- it has a unique key (unique.lua)
local EXPIRES = 16 -- it ends unless it has started by a time (expiry.lua)
local FLOW = 32 -- it belongs to a flow (flow.lua), or has another queue to tell of its end (escalate.lua)
local function flags_of(letter) return string.byte(letter) - 48 end
local function letter_of(flags) return string.char(48 + flags) end
local function with_flag(flags, flag) return bit.bor(flags, flag) end
local function has_flag(flags, flag) return flags % (flag + flag) >= flag end

-- header: 2<flags> <lane> <enqueued ms> <task>, then named fields ` <name>=<value>`; who does not know a name
-- passes over it. a attempts, b and m back-off, c crashes, t timeout, d is when it is due, f the home of its
-- flow, g tags, h headers, o where it ran out of memory, u unique, x expires, i=0 no input.
local MAX_HEADER = '2300'
local function write_header(flags, lane, enqueued, call) return '2' .. flags .. ' ' .. lane .. ' ' .. enqueued .. ' ' .. call .. '\n' end

local function header_of(id)
  local line = redis.call('GETRANGE', Q .. 'job:' .. id, '0', MAX_HEADER)
  local flags, lane, enqueued, task, fields = string.match(line, '^2(.) (%S+) (%d+) (%S+)([^\n]*)\n')
  if not flags then return nil end
  return { flags = flags_of(flags), lane = lane, enqueued = tonumber(enqueued), task = task, fields = fields }
end

local function field(header, name) return tonumber(string.match(header.fields, ' ' .. name .. '=(%d+)')) end
local function text_field(header, name) return string.match(header.fields, ' ' .. name .. '=(%S+)') end

-- entry of a held job: <token>:<attempt>:<crashes>, and :<flags>:<lane> where it has a flag. Where a token is
-- named, nil for an entry of another one; most are of a first attempt without a flag, and need no look at
-- them.
local FIRST = { attempt = 1, crashes = 0, flags = 0 }
local function parse_held(entry, named)
  local first = named and named .. ':1:0'
  if entry == first then return FIRST end
  if first and string.sub(entry, 1, #first) == first then
    local colon, letter = string.byte(entry, #first + 1, #first + 2)
    if colon == 58 then return { token = named, attempt = 1, crashes = 0, flags = letter - 48, lane = string.sub(entry, #first + 4) } end -- ':'
  end
  local token, attempt, crashes, flags, lane = string.match(entry, '^(%d+):(%d+):(%d+):?(.?):?(.*)$')
  if named and named ~= token then return nil end
  return { token = token, attempt = tonumber(attempt), crashes = tonumber(crashes), flags = (string.byte(flags) or 48) - 48, lane = lane }
end

local function tries_of(attempt, crashes, flags, lane)
  return string.format('%d:%d:%s:%s', attempt, crashes, letter_of(flags), lane)
end

-- outcome: =<c completed, x cancelled, e expired> <ended ms> <attempts>[+<crashes>] <ms since it was enqueued> <task>
-- <facts>, a newline, the result. Numbers are hexadecimal and nothing is said twice: up to 44 bytes Redis
-- keeps a value in one piece with its object.
local now_text = string.format('%x', now)
local function write_outcome(letter, held, enqueued, rest)
  local tries = held.attempt == 1 and '1' or string.format('%x', held.attempt)
  if held.crashes > 0 then tries = string.format('%s+%x', tries, held.crashes) end
  return '=' .. letter .. ' ' .. now_text .. ' ' .. tries .. ' ' .. string.format('%x', math.max(0, now - enqueued)) .. ' ' .. rest
end
