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
  local now = milliseconds()
  local function place(epoch, offset)
    local text = string.format('%016.0f', offset)
    local placed = head
    if at >= 0 then placed = string.sub(head, 1, at) .. text .. epoch .. string.sub(head, at + 33) end
    return text, placed, redis.pcall(
      'XADD', stream, 'MAXLEN', count, text .. '-0', 't', string.format('%.0f', now), 'm', placed .. rest)
  end

  local known = redis.call('HMGET', position, 'epoch', 'renewed')
  local epoch, renewed = known[1], tonumber(known[2] or 0)
  if not epoch then
    epoch = fresh
    redis.call('HSET', position, 'epoch', epoch) -- the first to write: then a Redis without memory refuses
    redis.call('DEL', stream)
    renewed = 0
  end
  local offset, placed, added = place(epoch, redis.call('HINCRBY', position, 'offset', 1))
  if type(added) == 'table' and added.err and string.find(added.err, 'equal or smaller', 1, true) then
    epoch, renewed = fresh, 0 -- the position is older than the stream, so both begin again
    redis.call('DEL', stream)
    redis.call('HSET', position, 'epoch', epoch, 'offset', 1)
    offset, placed, added = place(epoch, 1)
  end
  if type(added) == 'table' and added.err then error(added.err) end
  -- Not with each message, because that would take as long as all the rest.
  if math.abs(now - renewed) >= seconds * 50 then
    redis.call('HSET', position, 'renewed', string.format('%.0f', now))
    trim(stream, now - seconds * 1000, 1000)
    redis.call('EXPIRE', stream, math.ceil(seconds * 1.05) + 1)
    redis.call('EXPIRE', position, math.ceil(longer * 1.05) + 1)
  end
  return offset, epoch, placed
end
