-- Reads a part of a history. Returns {epoch or '', the last offset, milliseconds until the position is forgotten, the
-- last offset that is gone, the offset up to which strangers have sent without a position, how often something was
-- forgotten, the epochs before if it went on, then offset, age in ms and message of each entry}, the oldest first.
-- KEYS: the stream, its position
-- ARGV: entries to return at most (0: only the position), seconds for which entries are kept, the offset of the first
--       one ('': the newest ones), the offset of the last one ('': the newest one; with '' before)
-- It returns fewer than asked for, but two, if they have more than LARGEST bytes: over a slow line a longer reply takes
-- longer than its reader waits. Two, because the first one is often one that the reader has.
local LARGEST, AT_ONCE = 1048576, 20

local function offset_of(entry) return tonumber(string.match(entry[1], '^%d+')) end

local known = redis.call('HMGET', KEYS[2], 'epoch', 'offset', 'tainted', 'forgets', 'before')
local epoch, last = known[1], known[2]
if not epoch then return {'', 0, 0, 0, 0, 0, ''} end
local now, most = milliseconds(), tonumber(ARGV[1])
trim(KEYS[1], now - ARGV[2] * 1000)
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local gone = first and offset_of(first) - 1 or tonumber(last)
local found = {
  epoch, tonumber(last), redis.call('PTTL', KEYS[2]), gone, tonumber(known[3] or 0), tonumber(known[4] or 0),
  known[5] or ''}
if most > 0 then
  local newest, entries, size, full = ARGV[3] == '', {}, 0, false
  local command, from, to, step = 'XRANGE', ARGV[3] .. '-0', '+', 1
  if newest then command, from, to, step = 'XREVRANGE', ARGV[4] == '' and '+' or ARGV[4] .. '-0', '-', -1 end
  repeat
    local some = redis.call(command, KEYS[1], from, to, 'COUNT', math.min(most - #entries, AT_ONCE))
    for _, entry in ipairs(some) do
      size = size + #entry[2][4]
      full = #entries > 1 and size > LARGEST
      if full then break end
      entries[#entries + 1] = entry
    end
    local done = full or #some < AT_ONCE or #entries == most
    if not done then from = string.format('%.0f-0', offset_of(some[#some]) + step) end
  until done
  for i = newest and #entries or 1, newest and 1 or #entries, step do
    local entry = entries[i]
    found[#found + 1] = offset_of(entry)
    found[#found + 1] = now - tonumber(entry[2][2])
    found[#found + 1] = entry[2][4]
  end
end
return found
