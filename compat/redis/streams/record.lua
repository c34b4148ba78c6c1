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

-- Appends head .. rest to a history, and returns its position, and head with the position written into it after
-- so many bytes; a negative number: nowhere.
local function record(stream, position, head, at, rest, count, seconds, longer, fresh)
  local epoch = redis.call('HGET', position, 'epoch')
  if not epoch then
    epoch = fresh
    redis.call('HSET', position, 'epoch', epoch) -- the first to write: then a Redis without memory refuses
    redis.call('DEL', stream)
  end
  local offset = string.format('%016.0f', redis.call('HINCRBY', position, 'offset', 1))
  if at >= 0 then head = string.sub(head, 1, at) .. offset .. epoch .. string.sub(head, at + 33) end
  local now = milliseconds()
  redis.call('XADD', stream, 'MAXLEN', count, offset .. '-0', 't', string.format('%.0f', now), 'm', head .. rest)
  trim(stream, now - seconds * 1000, 2)
  redis.call('EXPIRE', stream, seconds)
  redis.call('EXPIRE', position, longer)
  return offset, epoch, head
end
