-- Before each script that writes to a history.
-- Removes the entries that are older than a time in ms, the oldest first, so many at most.
local function trim(stream, cutoff, most)
  for _ = 1, most do
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(first[2][2]) >= cutoff then return end
    redis.call('XDEL', stream, first[1])
  end
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
    trim(stream, now - seconds * 1000, 1000)
    redis.call('EXPIRE', stream, life)
    redis.call('EXPIRE', position, math.ceil(longer * 1.05) + 1)
  end
  return first, epoch, texts
end
