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

-- Appends messages to a history: {head, at, rest} each, whose position is written into the head after ``at`` bytes (a
-- negative number: nowhere). Sets ``placed``, the head with its position, and returns the first offset and the epoch.
local function record(stream, position, messages, count, seconds, longer, fresh)
  local now = milliseconds()
  local epoch = redis.call('HGET', position, 'epoch')
  if not epoch then
    epoch = fresh
    redis.call('HSET', position, 'epoch', epoch) -- the first to write: then a Redis without memory refuses
    redis.call('DEL', stream)
  end
  local first, time = redis.call('HINCRBY', position, 'offset', #messages) - #messages + 1, string.format('%.0f', now)
  local function add(i)
    local message, offset = messages[i], string.format('%016.0f', first + i - 1)
    local head, at = message.head, message.at
    if at >= 0 then head = string.sub(head, 1, at) .. offset .. epoch .. string.sub(head, at + 33) end
    message.placed = head
    local id, whole, added = offset .. '-0', head .. message.rest
    if i < #messages then
      added = redis.pcall('XADD', stream, id, 't', time, 'm', whole)
    else -- trims once for all of them, which is a fifth of what many cost
      added = redis.pcall('XADD', stream, 'MAXLEN', count, id, 't', time, 'm', whole)
    end
    return type(added) == 'table' and added.err
  end

  for i = 1, #messages do
    local refused = add(i)
    if i == 1 and refused and string.find(refused, 'equal or smaller', 1, true) then
      epoch, first = fresh, 1 -- the position is older than the stream, so both begin again
      redis.call('DEL', stream)
      redis.call('HSET', position, 'epoch', epoch, 'offset', #messages)
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
  return first, epoch
end
