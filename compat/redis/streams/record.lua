-- Before each script that writes to a history.
-- Removes the entries that are older than a time in ms. It looks for the first one that is not, in steps that grow,
-- and then between the last two steps, so many cost little more than one. Before Redis 6.2 some may be left.
local AT_A_TIME = 1000

local function id_of(offset) return string.format('%.0f-0', offset) end

local function trim(stream, cutoff)
  -- the offset of the first entry from there on, if it is too old
  local function old(from)
    local found = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
    return found and tonumber(found[2][2]) < cutoff and tonumber(string.match(found[1], '^%d+'))
  end

  local first = old('-')
  if not first then return end
  local last, step, fresh = first, 1, nil -- up to ``last`` they are too old, and from ``fresh`` on they are not
  repeat
    local found = old(id_of(last + step))
    if found then last, step = found, 2 * step else fresh = last + step end
  until fresh
  while fresh - last > 1 do
    local middle = math.floor((last + fresh) / 2)
    local found = old(id_of(middle))
    if found then last = found else fresh = middle end
  end
  local trimmed = redis.pcall('XTRIM', stream, 'MINID', id_of(fresh))
  if type(trimmed) == 'number' then return end
  local ids = {}
  for offset = first, math.min(last, first + AT_A_TIME - 1) do ids[#ids + 1] = id_of(offset) end
  redis.call('XDEL', stream, unpack(ids))
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Appends messages to a history: of each, what stands before its position and what stands after it ('': the position is
-- not written into it). Returns the first offset, the epoch, and the messages with their positions.
local function record(stream, position, heads, tails, count, seconds, longer, fresh)
  local now, many, texts = milliseconds(), #heads, {}
  local epoch = redis.call('HGET', position, 'epoch')
  if not epoch then
    epoch = fresh
    redis.call('HSET', position, 'epoch', epoch) -- the first to write: then a Redis without memory refuses
    redis.call('DEL', stream)
  end
  local first, time = redis.call('HINCRBY', position, 'offset', many) - many + 1, string.format('%.0f', now)
  local function add(i)
    local text, offset, added = heads[i], string.format('%016.0f', first + i - 1)
    if tails[i] ~= '' then text = text .. offset .. epoch .. tails[i] end
    texts[i] = text
    local id = offset .. '-0'
    if i < many then
      added = redis.pcall('XADD', stream, id, 't', time, 'm', text)
    else -- trims once for all of them, which is a fifth of what many cost
      added = redis.pcall('XADD', stream, 'MAXLEN', count, id, 't', time, 'm', text)
    end
    return type(added) == 'table' and added.err
  end

  for i = 1, many do
    local refused = add(i)
    if i == 1 and refused and string.find(refused, 'equal or smaller', 1, true) then
      epoch, first = fresh, 1 -- the position is older than the stream, so both begin again
      redis.call('DEL', stream)
      redis.call('HSET', position, 'epoch', epoch, 'offset', many)
      redis.call('HDEL', position, 'before')
      refused = add(i)
    end
    if refused then error(refused) end
  end
  -- Not with each message, because that would take as long as all the rest. The stream itself tells when it is due:
  -- it may have been deleted meanwhile, or have been kept for another time.
  local life, left = math.ceil(seconds * 1.05) + 1, redis.call('PTTL', stream)
  if left < (seconds + 1) * 1000 or left > life * 1000 then
    trim(stream, now - seconds * 1000)
    redis.call('EXPIRE', stream, life)
    redis.call('EXPIRE', position, math.ceil(longer * 1.05) + 1)
  end
  return first, epoch, texts
end
